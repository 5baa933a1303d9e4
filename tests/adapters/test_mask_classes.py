"""classes.yaml beside masks: what is accepted, and what is said about the rest."""

from pathlib import Path

import pytest
import yaml

from datalab.adapters.mask_classes import (
    PALETTE,
    ZERO_ID,
    automatic_classes,
    ignored_values,
    palette_color,
    pixel_value,
    read_classes_file,
)
from datalab.config import LabelClass
from datalab.errors import InputError

CAMVID = Path(__file__).parents[2] / "docs" / "examples" / "camvid-classes.yaml"


def written(path: Path, content: object) -> Path:
    path.write_text(yaml.safe_dump(content))
    return path


def test_only_id_and_name_are_needed(tmp_path: Path) -> None:
    file = written(tmp_path / "classes.yaml", {"classes": [{"id": 7, "name": "cup"}, {"id": 3, "name": "coin"}]})
    assert read_classes_file(file) == (
        LabelClass(3, "coin", PALETTE[0]),
        LabelClass(7, "cup", PALETTE[1]),
    )


@pytest.mark.parametrize("name", ["background", "Background "])
def test_a_background_listed_with_zero_is_no_class(tmp_path: Path, name: str) -> None:
    file = written(tmp_path / "classes.yaml", {"classes": [{"id": 0, "name": name}, {"id": 1, "name": "cup"}]})
    assert [(item.id, item.name) for item in read_classes_file(file)] == [(1, "cup")]


def test_a_background_of_another_value_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path / "classes.yaml", {"classes": [{"id": 3, "name": "background"}, {"id": 1, "name": "cup"}]})
    with pytest.raises(InputError, match="'background' has the value 3, but background is 0"):
        read_classes_file(file)


def test_everything_that_guidelines_have_is_kept(tmp_path: Path) -> None:
    entry = {"id": 1, "name": "cup", "color": "#0072B2", "rule": "With its saucer.", "hotkey": "2"}
    file = written(tmp_path / "classes.yaml", {"classes": [entry]})
    assert read_classes_file(file) == (LabelClass(1, "cup", "#0072B2", "With its saucer.", "2"),)


def test_zero_is_a_class_where_it_is_listed() -> None:
    classes = read_classes_file(CAMVID)
    assert [item.id for item in classes] == [*range(1, 11), ZERO_ID]
    assert classes[-1].name == "sky"
    assert pixel_value(classes[-1]) == 0
    assert pixel_value(classes[0]) == 1
    assert ignored_values(CAMVID) == {11}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "needs a list"),
        ([], "needs a list"),
        ({"classes": [{"id": 1}]}, "at least id and name"),
        ({"classes": ["cup"]}, "at least id and name"),
        ({"classes": [{"id": 1, "name": "a", "colour": "red"}]}, "unknown key.s. colour; known: color, hotkey"),
        ({"classes": [{"id": "1", "name": "a"}]}, "no pixel value"),
        ({"classes": [{"id": True, "name": "a"}]}, "no pixel value"),
        ({"classes": [{"id": 255, "name": "a"}]}, "use 0 to 253"),
        ({"classes": [{"id": 256, "name": "a", "ignore": True}]}, "use 0 to 255"),
        ({"classes": [{"id": 1, "name": False}]}, "must be text"),
        ({"classes": [{"id": 1, "name": "a", "color": "red"}]}, "#rrggbb"),
        ({"classes": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}, "same id"),
        ({"classes": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]}, "same name"),
        ({"classes": [{"id": 254, "name": "b"}]}, "use 0 to 253"),
        ({"classes": [{"id": 9, "name": "a", "ignore": True}]}, "names no class"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_classes_file(written(tmp_path / "classes.yaml", content))
    assert "\n" not in str(caught.value)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_classes_file(tmp_path / "absent.yaml")
    for content, message in (("classes: [", "not readable YAML"), ("classes: [2024-13-45]", "month must be in")):
        (tmp_path / "classes.yaml").write_text(content)
        with pytest.raises(InputError, match=message):
            read_classes_file(tmp_path / "classes.yaml")


def test_colors_differ_far_beyond_the_palette() -> None:
    colors = [item.color for item in automatic_classes({value: f"class_{value}" for value in range(1, 41)})]
    assert len(set(colors)) == 40
    assert palette_color(0) == "#e69f00"
