import errno
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from datalab.config import Attribute, load_guidelines, load_number, load_params
from datalab.errors import InputError
from datalab.ranges import Count, Share

CLASSES = """
classes:
  - {id: 2, name: cup, color: "#00ff00"}
  - {id: 1, name: coin, color: "#ff0000", rule: Round., hotkey: "1"}
"""


@dataclass(frozen=True)
class Params:
    size: Count
    share: Share
    name: str
    notes: str = ""


@pytest.fixture
def guidelines(tmp_path: Path) -> Path:
    (tmp_path / "classes.yaml").write_text(CLASSES)
    (tmp_path / "coin.md").write_text("# Coin")
    (tmp_path / "README.md").write_text("# All")
    return tmp_path


def params_file(folder: Path, text: str) -> Path:
    path = folder / "params.yaml"
    path.write_text(text)
    return path


def test_params_are_typed_and_whole_numbers_may_be_fractions(tmp_path: Path) -> None:
    path = params_file(tmp_path, "stage: {size: 3, share: 1, name: a}")
    assert load_params(path, "stage", Params) == Params(3, 1.0, "a")


def test_a_small_number_may_be_written_with_an_exponent(tmp_path: Path) -> None:
    """To YAML 1e-3 is a text, to DVC a number."""
    path = params_file(tmp_path, "stage: {size: 3, share: 1e-3, name: 1e-3}")
    assert load_params(path, "stage", Params) == Params(3, 0.001, "1e-3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stage: {size: 3, share: 1, name: a, sice: 4}", r"unknown key\(s\) sice; known: size, share, name, notes"),
        ("stage: {size: 3}", "stage: share, name missing; the repository's own file has all of them"),
        ("stage: {size: '3', share: 1, name: a}", r"params\.yaml: stage\.size: expected int, got '3'"),
        ("stage: {size: true, share: 1, name: a}", "expected int, got True"),
        ("stage: {size: 3, share: much, name: a}", r"stage\.share: expected float, got 'much'"),
        ("stage: {size: 3, share: .nan, name: a}", r"stage\.share: expected float, got nan"),
        ("stage: {size: 3, share: 50, name: a}", r"stage\.share is 50; it has to be at least 0 and at most 1"),
        ("stage: {size: 0, share: 1, name: a}", r"stage\.size is 0; it has to be at least 1$"),
        ("stage: {size: 3, share: 1, name: a, size: 4}", "'size' stands there twice"),
        ("stage: {}\nstage: {}", "'stage' stands there twice"),
        ("stage: [1]", "expected a mapping"),
        ("other: {}", "no section 'stage'; it has other"),
        ("1: 2\nother: {}", "no section 'stage'; it has 1, other"),
        ("a: [", "not readable YAML"),
        ("a: 2024-13-45", r"params\.yaml: month must be in 1\.\.12.*; put what looks like a date .* into quotes"),
        ("- a", "must be a mapping"),
    ],
)
def test_wrong_params_are_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_params(params_file(tmp_path, text), "stage", Params)
    assert "\n" not in str(caught.value)


@dataclass(frozen=True)
class Named:
    rules: dict[str, str]


@pytest.mark.parametrize(("name", "shown"), [("2024", "2024"), ("on", "True"), ("~", "None")])
def test_names_that_are_no_text_to_yaml_are_refused(tmp_path: Path, name: str, shown: str) -> None:
    with pytest.raises(InputError, match=rf"stage\.rules: the name {shown} is no text to YAML; put it into quotes"):
        load_params(params_file(tmp_path, f"stage: {{rules: {{dark: a, {name}: b}}}}"), "stage", Named)
    quoted = params_file(tmp_path, f"stage: {{rules: {{'{name}': b}}}}")
    assert load_params(quoted, "stage", Named) == Named({name: "b"})


def test_params_that_nobody_can_read_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").mkdir()
    with pytest.raises(InputError, match=r"params\.yaml cannot be read: Is a directory; it has to be a text file"):
        load_params(tmp_path / "params.yaml", "stage", Params)


def test_guidelines_are_read_in_order(guidelines: Path) -> None:
    read = load_guidelines(guidelines)
    assert read.names == ["coin", "cup"]
    assert read.id_of("cup") == 2
    assert [name for name, _ in read.pages] == ["README.md", "coin.md"]
    with pytest.raises(InputError, match="known: coin, cup"):
        read.id_of("cap")


def test_a_page_changes_the_version_and_not_the_ontology(guidelines: Path) -> None:
    before = load_guidelines(guidelines)
    (guidelines / "coin.md").write_text("# Coins")
    after = load_guidelines(guidelines)
    assert after.version != before.version
    assert after.ontology_hash == before.ontology_hash


def test_what_editors_leave_beside_it_is_no_page(guidelines: Path) -> None:
    before = load_guidelines(guidelines)
    for name in (".README.md.swp", ".DS_Store", "README.md~"):
        (guidelines / name).write_text("x")
    assert load_guidelines(guidelines) == before


def test_a_class_changes_the_ontology(guidelines: Path) -> None:
    before = load_guidelines(guidelines)
    (guidelines / "classes.yaml").write_text(CLASSES.replace("cup", "mug"))
    assert load_guidelines(guidelines).ontology_hash != before.ontology_hash


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("classes: []", "names no class"),
        ("classes: [{id: 0, name: a, color: '#000000'}]", "use 1 to 254"),
        ("classes: [{id: 1, name: a, color: red}]", "rrggbb"),
        ("classes: [{id: 1, name: ' ', color: '#000000'}]", "id 1 has an empty name"),
        ("classes: [{id: 1, name: Background, color: '#000000'}]", "what no class covers"),
        ("classes: [{id: 1, name: a, color: '#000000'}, {id: 1, name: b, color: '#000000'}]", "same id"),
        ("classes: [{id: 2, name: a, color: '#000000'}, {id: 1, name: a, color: '#000000'}]", "same name"),
        ("classes: [{id: 2, nam: a}]", "unknown key"),
        ("classes: [{id: 2, name: cup}]", "classes: 'cup': color missing"),
        ("classes: [{id: 2, name: cup, color: '#000000', hotkey: 1}]", r"'cup'\.hotkey: expected str, got 1"),
        ("classes: [{id: 1, name: 2024-13-45, color: '#000000'}]", "month must be in"),
        ("classes: 3", "classes has to be a list"),
    ],
)
def test_wrong_classes_are_told(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "classes.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        load_guidelines(tmp_path)


def test_a_page_that_is_no_utf8_is_named(guidelines: Path) -> None:
    (guidelines / "README.md").write_bytes("Münzen".encode("latin-1"))
    with pytest.raises(InputError, match=r"README\.md cannot be read: .*; save it as UTF-8 text"):
        load_guidelines(guidelines)


def test_a_page_that_is_no_file_is_named(guidelines: Path) -> None:
    (guidelines / "link.md").symlink_to("gone.md")
    with pytest.raises(InputError, match=r"link\.md cannot be read: No such file or directory; put a file there"):
        load_guidelines(guidelines)
    (guidelines / "link.md").unlink()
    (guidelines / "folder.md").mkdir()
    with pytest.raises(InputError, match=r"folder\.md cannot be read: Is a directory; put a file there"):
        load_guidelines(guidelines)


def test_a_picture_that_one_may_not_read_is_named(guidelines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    (guidelines / "cup.png").write_bytes(b"a picture")
    monkeypatch.setattr(Path, "read_bytes", forbidden)
    with pytest.raises(InputError, match=r"cannot be read: Permission denied; put a file there that you may read"):
        load_guidelines(guidelines)


def test_a_name_that_is_no_utf8_is_told(guidelines: Path) -> None:
    (guidelines / os.fsdecode("Müll.png".encode("latin-1"))).write_bytes(b"a picture")
    with pytest.raises(InputError, match=r"the name of .*M\\udcfcll\.png' is no UTF-8 text; rename the file"):
        load_guidelines(guidelines)


def test_missing_guidelines_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"classes\.yaml does not exist"):
        load_guidelines(tmp_path)


ATTRIBUTE = """\
classes:
  - id: 1
    name: coin
    color: "#e69f00"
    attributes: %s
"""


def test_attributes_and_pictures_are_read(tmp_path: Path) -> None:
    (tmp_path / "classes.yaml").write_text(ATTRIBUTE % '[{name: state, values: ["whole", "broken"]}]')
    (tmp_path / "good").mkdir()
    for name in ("good/one.png", "b.jpg", "c.svg", "README.md"):
        (tmp_path / name).write_bytes(b"x")
    guidelines = load_guidelines(tmp_path)
    assert guidelines.classes[0].attributes == (Attribute("state", ("whole", "broken")),)
    assert guidelines.pictures == ("b.jpg", "good/one.png")


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ("[{name: State, values: [a]}]", "is no name"),
        ("[{name: state, values: []}]", "have to be a list of texts"),
        ("[{name: state, values: [1]}]", "have to be a list of texts"),
        ("[{name: state, values: a}]", "values: expected list, got 'a'"),
        ("[{name: state, size: 1}]", "unknown key"),
        ("{state: [a]}", "'coin'.attributes: expected list, got"),
        ("3", "'coin'.attributes: expected list, got 3"),
        ("[3]", "expected a mapping, got 3"),
    ],
)
def test_wrong_attributes_are_told(tmp_path: Path, attributes: str, said: str) -> None:
    (tmp_path / "classes.yaml").write_text(ATTRIBUTE % attributes)
    with pytest.raises(InputError, match=said):
        load_guidelines(tmp_path)


def test_one_number_of_another_section(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("ingest: {near: 4, far: 2.5, name: x}")
    assert (load_number(path, "ingest", "near", int), load_number(path, "ingest", "near", float)) == (4, 4.0)
    for section, name, message in (
        ("ingest", "far", "expected int, got 2.5"),
        ("ingest", "name", "expected int, got 'x'"),
        ("ingest", "absent", "expected int, got None"),
        ("nothing", "near", "expected int, got None"),
    ):
        with pytest.raises(InputError, match=rf"params\.yaml: {section}\.{name}: {message}"):
            load_number(path, section, name, int)
