"""What people write by hand: params.yaml and guidelines/. Read when asked for, never on import."""

import hashlib
import re
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from datalab.errors import InputError

P = TypeVar("P")
N = TypeVar("N", int, float)
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp")
"""What a browser shows; an SVG can carry scripts."""
BACKGROUND = "background"
"""Name of the pixel value 0, which stands beside the classes wherever figures are by class; no class may bear it."""


@dataclass(frozen=True)
class Attribute:
    """A question about each region of a class, answered by one of `values`."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class LabelClass:
    """One class of the ontology: `id` is its pixel value (1 to 254), `color` "#rrggbb", `rule` one line for people."""

    id: int
    name: str
    color: str
    rule: str = ""
    hotkey: str = ""
    attributes: tuple[Attribute, ...] = ()


@dataclass(frozen=True)
class Guidelines:
    """The classes and what annotators are told about them, with the versions stamped on every label."""

    classes: tuple[LabelClass, ...]
    pages: tuple[tuple[str, str], ...]
    """(file name, Markdown text), README.md first."""
    version: str
    """First 12 hex digits of the SHA-256 over every file of the folder."""
    ontology_hash: str
    """First 12 hex digits of the SHA-256 over (id, name) of the classes: changes only when labels change meaning."""
    pictures: tuple[str, ...] = ()
    """Paths of the example pictures, below the folder."""

    def id_of(self, name: str) -> int:
        """The pixel value of a class; InputError that lists the known names."""
        for item in self.classes:
            if item.name == name:
                return item.id
        raise InputError(f"class {name!r} is not in guidelines/classes.yaml; known: {', '.join(self.names)}")

    @property
    def names(self) -> list[str]:
        """Class names in the order of their ids."""
        return [item.name for item in self.classes]


def load_params(path: Path, section: str, kind: type[P]) -> P:
    """`section` of params.yaml as the dataclass `kind`; a missing section, unknown key or wrong type is an error."""
    content = _read_yaml(path)
    if section not in content:
        raise InputError(f"{path} has no section {section!r}; it has {', '.join(sorted(content))}")
    return _build(kind, content[section] or {}, f"{path}: {section}")


def load_number(path: Path, section: str, name: str, kind: type[N]) -> N:
    """One number of another part's section of params.yaml; InputError where it is missing or of another kind."""
    values = _read_yaml(path).get(section)
    value = values.get(name) if isinstance(values, dict) else None
    try:
        number: N = _coerce(value, kind)
    except ValueError as exc:
        raise InputError(f"{path}: {section}.{name}: {exc}") from exc
    return number


def load_named(path: Path, section: str, kind: type[P]) -> dict[str, P]:
    """`section` of params.yaml as a dataclass `kind` for each name in it, with the same errors."""
    content = _read_yaml(path).get(section)
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path} has no section {section!r} with at least one name")
    return {str(name): _build(kind, values, f"{path}: {section}.{name}") for name, values in content.items()}


def load_guidelines(folder: Path) -> Guidelines:
    """Read guidelines/: classes.yaml and the Markdown pages beside it."""
    content = _read_yaml(folder / "classes.yaml")
    classes = tuple(
        sorted((_label_class(item, folder) for item in content.get("classes") or []), key=lambda item: item.id)
    )
    _check_classes(classes, folder)
    pages = sorted(folder.glob("*.md"), key=lambda page: (page.name != "README.md", page.name))
    ontology = "\n".join(f"{item.id} {item.name}" for item in classes)
    return Guidelines(
        classes=classes,
        pages=tuple((page.name, _page(page)) for page in pages),
        version=_folder_digest(folder),
        ontology_hash=hashlib.sha256(ontology.encode()).hexdigest()[:12],
        pictures=tuple(path.relative_to(folder).as_posix() for path in _files(folder) if path.suffix in PICTURES),
    )


def _page(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise InputError(f"{path} cannot be read: {exc}; save it as UTF-8 text") from exc


def _label_class(item: Any, folder: Path) -> LabelClass:
    where = f"{folder / 'classes.yaml'}: classes"
    if isinstance(item, dict) and isinstance(item.get("attributes"), list):
        item = {**item, "attributes": [_attribute(one, f"{where}: attributes") for one in item["attributes"]]}
    built = _build(LabelClass, item, where)
    given = built.attributes
    if not (isinstance(given, tuple) and all(isinstance(one, Attribute) for one in given)):
        raise InputError(f"{where}: attributes of {built.name!r} have to be a list of name and values")
    return built


def _attribute(item: Any, where: str) -> Attribute:
    built = _build(Attribute, item, where)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", built.name):
        raise InputError(f"{where}: {built.name!r} is no name; use small letters, digits and _")
    values = built.values
    if not (isinstance(values, tuple) and values and all(isinstance(value, str) and value for value in values)):
        raise InputError(f'{where}: values of {built.name!r} have to be a list of texts, such as ["yes", "no"]')
    return built


def _check_classes(classes: tuple[LabelClass, ...], folder: Path) -> None:
    where = folder / "classes.yaml"
    if not classes:
        raise InputError(f"{where} names no class; add at least one below 'classes:'")
    for key in ("id", "name"):
        values = [getattr(item, key) for item in classes]
        if len(set(values)) != len(values):
            raise InputError(f"{where}: two classes have the same {key}")
    for item in classes:
        if not item.name.strip():
            raise InputError(f"{where}: the class with id {item.id} has an empty name")
        if is_background(item.name):
            raise InputError(f"{where}: {item.name!r} is what no class covers (0 in masks); name the class otherwise")
        if not 1 <= item.id <= 254:
            raise InputError(f"{where}: id of {item.name!r} is {item.id}; use 1 to 254 (0 is background, 255 ignored)")
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", item.color):
            raise InputError(f'{where}: color of {item.name!r} is {item.color!r}; write it as "#rrggbb"')


def is_background(name: str) -> bool:
    """Whether a class of this name would be taken for what no class covers."""
    return name.strip().casefold() == BACKGROUND


def _folder_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in _files(folder):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _files(folder: Path) -> list[Path]:
    """What is shown to people; not what editors and file managers leave beside it."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if not path.name.startswith(".") and not path.name.endswith("~"))


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise InputError(f"{path} does not exist; it belongs to every datalab workspace") from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise InputError(f"{path} is not readable YAML: {' '.join(str(exc).split())}") from exc
    if not isinstance(content, dict):
        raise InputError(f"{path} must be a mapping of names to values")
    return content


def _build(kind: type[P], values: Any, where: str) -> P:
    assert is_dataclass(kind)
    if not isinstance(values, dict):
        raise InputError(f"{where}: expected a mapping, got {values!r}")
    known = {field.name: field for field in fields(kind)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InputError(f"{where}: unknown key(s) {', '.join(unknown)}; known: {', '.join(known)}")
    try:
        built = kind(**{name: _coerce(value, known[name].type) for name, value in values.items()})
    except (TypeError, ValueError) as exc:
        raise InputError(f"{where}: {exc}") from exc
    return built


def _coerce(value: Any, kind: Any) -> Any:
    """Whole numbers may stand for fractions; any other difference of type is the user's mistake."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind in (int, float, str, bool) and type(value) is not kind:
        raise ValueError(f"expected {kind.__name__}, got {value!r}")
    return tuple(value) if isinstance(value, list) else value
