import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from segment_anything import SamPredictor

from datalab.adapters.sam import load_sam
from small_sam.evaluate import (
    BASELINES,
    filled_box,
    grabcut,
    innermost_pixel,
    inscribed_ellipse,
    iou,
    leads,
    main,
    measure,
    summarise,
    tight_box,
)
from small_sam.objects import Example

SQUARE = np.zeros((60, 80), dtype=bool)
SQUARE[20:40, 30:60] = True
RED_ON_GREEN = np.where(SQUARE[..., None], [200, 30, 30], [30, 160, 30]).astype(np.uint8)


def test_a_box_ends_behind_the_last_pixel() -> None:
    assert tight_box(SQUARE) == (30, 20, 60, 40)


def test_a_person_clicks_where_the_object_is_thickest() -> None:
    mask = np.zeros((9, 12), dtype=bool)
    mask[1:8, 2:9] = True
    mask[4, 9:12] = True
    assert innermost_pixel(mask) == (5, 4)


def test_the_border_of_the_picture_is_the_outside_too() -> None:
    assert innermost_pixel(np.ones((5, 7), dtype=bool))[1] == 2


def test_overlap_by_hand() -> None:
    a = np.array([[1, 1, 0, 0], [1, 1, 0, 0]], dtype=bool)
    b = np.array([[0, 1, 1, 0], [0, 1, 1, 0]], dtype=bool)
    assert iou(a, b) == pytest.approx(2 / 6)
    assert iou(a, a) == 1


def test_the_ellipse_fills_a_quarter_pi_of_its_box() -> None:
    box = filled_box(RED_ON_GREEN, (10, 5, 70, 55))
    ellipse = inscribed_ellipse(RED_ON_GREEN, (10, 5, 70, 55))
    assert box.sum() == 60 * 50
    assert ellipse.sum() / box.sum() == pytest.approx(np.pi / 4, abs=0.01)
    assert not (ellipse & ~box).any()


def test_grabcut_finds_what_differs_in_colour() -> None:
    assert iou(grabcut(RED_ON_GREEN, (25, 15, 65, 45)), SQUARE) > 0.95


def test_where_the_box_is_the_picture_grabcut_gives_the_box() -> None:
    assert grabcut(RED_ON_GREEN, (0, 0, 80, 60)).all()


def ends_of(values: list[float], groups: list[str]) -> list[float]:
    """Mean and ends of the interval."""
    found = summarise([{"a": value} for value in values], groups, np.random.default_rng(0))["a"].values()
    return [end for end in found if end is not None]


def test_an_interval_holds_its_mean_and_narrows_with_more_objects() -> None:
    (mean, low, high), (same, from_many, to_many) = (
        ends_of([float(number % 2) for number in range(count)], [str(number) for number in range(count)])
        for count in (10, 1000)
    )
    assert mean == same == 0.5
    assert low < from_many < 0.5 < to_many < high


def test_objects_of_one_picture_are_one_witness() -> None:
    values = [float(number // 10 % 2) for number in range(200)]
    alone, together = (ends_of(values, [str(number // size) for number in range(200)]) for size in (1, 10))
    assert together[0] == alone[0]
    assert together[1] < alone[1] - 0.1


def test_every_method_is_measured_on_the_same_object() -> None:
    found = measure(SamPredictor(load_sam("small")), Example(RED_ON_GREEN, SQUARE, "a"))
    assert set(BASELINES) < set(found)
    assert all(0 <= value <= 1 for value in found.values())
    assert found["filled box"] == 1
    lead = leads(found)
    assert lead["box enlarged, single mask, less filled box"] == found["box enlarged, single mask"] - 1
    assert len(lead) == len(BASELINES)
    assert found["box enlarged, best of three"] > 0.9
    for prompt in ("click", "box", "box enlarged"):
        assert found[f"{prompt}, SAM's choice"] <= found[f"{prompt}, best of three"]


@pytest.mark.slow
def test_figures_are_kept_with_the_version_of_the_weights(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["--out", str(tmp_path / "figures.json"), "--count", "2"])
    assert done.exit_code == 0, done.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["model_version"].startswith("sam-small-")
    assert list(figures["sets"]) == ["composites"]
    assert figures["sets"]["composites"]["objects"] == 2


def test_data_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    asked = ["--out", str(tmp_path / "figures.json"), "--count", "2", "--data", str(tmp_path / "nowhere")]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 1
    assert "nothing matches" in done.output and "Traceback" not in done.output
    assert not (tmp_path / "figures.json").exists()
