"""What people write by hand: params.yaml and guidelines/. Read when asked for, never on import."""

import hashlib
import math
import re
from collections.abc import Hashable
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml

from datalab.errors import InputError

WRITTEN = {int: int, float: float, str: str, bool: bool, tuple: list, dict: dict}
"""What YAML makes of what is written for a field of such a type."""
P = TypeVar("P")
N = TypeVar("N", int, float)
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp")
"""What a browser shows; an SVG can carry scripts."""
NO_DATE = "put what looks like a date or a number and is none into quotes"
"""YAML makes dates of what looks like one, of a 45th of a month too."""
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
    """`section` of params.yaml as the dataclass `kind`.

    InputError names the file, section and key: what is missing, unknown, of another type or out of its range (Within).
    """
    content = _read_yaml(path)
    if section not in content:
        raise InputError(f"{path} has no section {section!r}; it has {', '.join(sorted(map(str, content)))}")
    return _build(kind, content[section] or {}, f"{path}: {section}")


def load_number(path: Path, section: str, name: str, kind: type[N]) -> N:
    """One number, or true or false, of another part's section of params.yaml.

    InputError where it is missing or of another kind.
    """
    values = _read_yaml(path).get(section)
    number: N = _coerce(values.get(name) if isinstance(values, dict) else None, kind, f"{path}: {section}.{name}")
    return number


def load_named(path: Path, section: str, kind: type[P]) -> dict[str, P]:
    """`section` of params.yaml as a dataclass `kind` for each name in it, with the same errors."""
    content = _read_yaml(path).get(section)
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path} has no section {section!r} with at least one name")
    return {str(name): _build(kind, values, f"{path}: {section}.{name}") for name, values in content.items()}


def load_guidelines(folder: Path) -> Guidelines:
    """Read guidelines/: classes.yaml and the Markdown pages beside it."""
    listed = _read_yaml(folder / "classes.yaml").get("classes") or []
    if not isinstance(listed, list):
        raise InputError(f"{folder / 'classes.yaml'}: classes has to be a list, a line for each class")
    classes = tuple(sorted((_label_class(item, folder) for item in listed), key=lambda item: item.id))
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
    except UnicodeDecodeError as exc:
        raise InputError(f"{path} cannot be read: {exc}; save it as UTF-8 text") from exc
    except OSError as exc:
        raise _unreadable(path, exc) from exc


def _unreadable(path: Path, refusal: OSError) -> InputError:
    return InputError(f"{path} cannot be read: {refusal.strerror}; put a file there that you may read, or remove it")


def _label_class(item: Any, folder: Path) -> LabelClass:
    where = f"{folder / 'classes.yaml'}: classes"
    if isinstance(item, dict) and "name" in item:
        where = f"{where}: {item['name']!r}"
    if isinstance(item, dict) and isinstance(item.get("attributes"), list):
        item = {**item, "attributes": [_attribute(one, f"{where}: attributes") for one in item["attributes"]]}
    return _build(LabelClass, item, where)


def _attribute(item: Any, where: str) -> Attribute:
    built = _build(Attribute, item, where)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", built.name):
        raise InputError(f"{where}: {built.name!r} is no name; use small letters, digits and _")
    values = built.values
    if not (values and all(isinstance(value, str) and value for value in values)):
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
        try:
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
        except OSError as exc:
            raise _unreadable(path, exc) from exc
        except UnicodeEncodeError as exc:
            raise InputError(f"the name of {str(path)!r} is no UTF-8 text; rename the file") from exc
    return digest.hexdigest()[:12]


def _files(folder: Path) -> list[Path]:
    """What is shown to people; not what editors and file managers leave beside it."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if not path.name.startswith(".") and not path.name.endswith("~"))


class _Loader(yaml.SafeLoader):
    """Refuses what stands twice in a mapping: the later one would count, and DVC refuses it, too."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = [name for name in names if names.count(name) > 1 and name != "<<"]
        if twice:
            raise yaml.MarkedYAMLError(problem=f"{twice[0]!r} stands there twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError as exc:
        raise InputError(f"{path} does not exist; it belongs to every datalab workspace") from exc
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror}; it has to be a text file that you may read") from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise InputError(f"{path} is not readable YAML: {' '.join(str(exc).split())}") from exc
    except ValueError as exc:
        raise InputError(f"{path}: {exc}; {NO_DATE}") from exc
    if not isinstance(content, dict):
        raise InputError(f"{path} must be a mapping of names to values")
    return content


def _build(kind: type[P], values: Any, where: str) -> P:
    assert is_dataclass(kind)
    if not isinstance(values, dict):
        raise InputError(f"{where}: expected a mapping, got {values!r}")
    known = {field.name: field for field in fields(kind)}
    if unknown := sorted(str(name) for name in set(values) - set(known)):
        raise InputError(f"{where}: unknown key(s) {', '.join(unknown)}; known: {', '.join(known)}")
    if missing := [name for name, field in known.items() if name not in values and _is_required(field)]:
        raise InputError(f"{where}: {', '.join(missing)} missing; the repository's own file has all of them")
    return kind(**{name: _coerce(value, known[name].type, f"{where}.{name}") for name, value in values.items()})


def _is_required(field: "Field[Any]") -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _coerce(value: Any, kind: Any, where: str) -> Any:
    """Whole numbers may stand for fractions, and so may 1e-3, a text to YAML; any other difference is a mistake."""
    plain, *limits = get_args(kind) if hasattr(kind, "__metadata__") else (kind,)
    plain = get_origin(plain) or plain
    if plain is float and type(value) in (int, str):
        value = _as_fraction(value)
    written = WRITTEN.get(plain, type(value))
    if type(value) is not written or (isinstance(value, float) and not math.isfinite(value)):
        raise InputError(f"{where}: expected {written.__name__}, got {value!r}")
    for name in value if isinstance(value, dict) else ():
        if not isinstance(name, str):
            raise InputError(f"{where}: the name {name!r} is no text to YAML; put it into quotes")
    for limit in limits:
        if not limit.least <= value <= limit.most:
            most = f" and at most {limit.most:.15g}" if limit.most < math.inf else ""
            raise InputError(f"{where} is {value:.15g}; it has to be at least {limit.least:.15g}{most}")
    return tuple(value) if isinstance(value, list) else value


def _as_fraction(value: int | str) -> float | str:
    try:
        return float(value)
    except (ValueError, OverflowError):
        return str(value)
