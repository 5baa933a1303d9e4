"""Ground truth masks as people have them: PNGs of class ids, or one folder of binary PNGs per class.

**Label maps.** A PNG has the relative path of its image (or just its name, where that is unique); its pixel values are
named by a classes.yaml, beside the masks or given apart. Without one they are class_1, class_2, ... 0 is background
unless the file lists it; 255 and values marked `ignore` are left out.

**Class folders.** One sub-folder per class, in it binary PNGs (not zero = inside) named like the images. A folder whose
masks are all empty, or that is called "background", makes no class, but says of its images that nothing is in them.

A folder without a PNG directly in it, whose classes are names of its sub-folders, has class folders; without a
classes.yaml, that is taken to be so where no mask holds two values beside 0.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from datalab.adapters.images_decode import channel_bits, multiplied_by
from datalab.adapters.mask_classes import automatic_classes, ignored_values, pixel_value, read_classes_file
from datalab.config import LabelClass, is_background
from datalab.errors import InputError
from datalab.masks import IGNORE_ID, BoolMask, crop_to_rle, mask_to_rle
from datalab.tables import CATALOG, GOLD, require

SMALLEST_SHARE = 1 / 5000
"""Components under this share of the image (35 pixels of 480x360) are specks: they join the largest of their class."""
THREADS = 4
ONLY_BINARY = "the masks in {} hold only 0 (background) and 255 (left out); put binary masks into folders, one a class"


def read_classes(masks: Path, classes_file: Path | None = None) -> tuple[LabelClass, ...]:
    """The classes of the folder `masks`, in the order of their ids.

    `classes_file` is the classes.yaml where it does not lie beside the masks. InputError where there is no mask, none
    holds a class, or a label map has a value that the classes.yaml does not name.
    """
    paths = _mask_paths(masks)
    beside = masks / "classes.yaml"
    named = classes_file or (beside if beside.is_file() else None)
    classes = read_classes_file(named) if named else ()
    if _has_class_folders(masks, paths, classes):
        return classes
    with ThreadPoolExecutor(THREADS) as pool:
        scan = pool.map(lambda path: set(np.unique(_read_values(path)).tolist()), paths)
        found = dict(zip(paths, tqdm(scan, "read classes", len(paths), unit="mask", disable=None), strict=True))
    if named:
        _check_values(found, {pixel_value(item) for item in classes} | ignored_values(named), named)
        return classes
    return _guessed_classes(masks, found)


def read_truth(
    masks: Path, catalog: pd.DataFrame, classes: Sequence[LabelClass], refused: Sequence[str] = ()
) -> pd.DataFrame:
    """Table GOLD of every image of `catalog` that has a mask; an image without a mask file is absent.

    `refused`: sources of images that are not in the catalog; a mask may be theirs where it has their name.
    Each connected component (8 neighbours) of a class is an object; specks under SMALLEST_SHARE join the class's
    largest object. InputError where a mask differs in size from its image, or no image has a mask at all.
    """
    table = require(catalog, CATALOG, "catalog")
    paths = _mask_paths(masks)
    names = _MaskNames.of(masks, paths, _has_class_folders(masks, paths, classes), list(table["source"]), refused)
    jobs = [(row, found) for row in _images(table) if (found := names.masks_of(row.source))]
    if not jobs:
        raise InputError(
            f"no mask in {masks} has the name of an image, such as {table['source'].iloc[0]}, that no other image has "
            "too; rename them"
        )
    with ThreadPoolExecutor(THREADS) as pool:
        parts = pool.map(lambda job: _rows(job[0], job[1], classes), jobs)
        rows = [row for part in tqdm(parts, "read masks", len(jobs), unit="image", disable=None) for row in part]
    return pd.DataFrame(rows, columns=list(GOLD))


@dataclass(frozen=True)
class _Image:
    image_id: str
    source: str
    width: int
    height: int


@dataclass(frozen=True)
class _MaskNames:
    """Finds the masks of an image: {folder of the class, or "" for a label map: path}."""

    whole: Mapping[str, dict[str, Path]]
    """By relative path, which in class folders begins with the class."""
    inner: Mapping[str, dict[str, Path]]
    """By relative path inside the class's folder."""
    stem: Mapping[str, dict[str, Path]]
    """By name alone, where it is unique among the masks (of a class) and among the images."""
    sources: Mapping[str, int] = field(repr=False)
    """How many images have a name."""
    paths: Mapping[str, int] = field(repr=False)
    """How many have a path, but for its ending: `a.jpg` and `a.png`, or images of two folders, may have the same one.

    Whose the mask is nobody can say then. A refused one does not count: beside a HEIC lies the JPEG made of it.
    """

    @classmethod
    def of(
        cls, masks: Path, paths: Sequence[Path], class_folders: bool, sources: Sequence[str], refused: Sequence[str]
    ) -> "_MaskNames":
        whole, inner, stem = (defaultdict[str, dict[str, Path]](dict) for _ in range(3))
        stems = Counter((_top(path, masks) if class_folders else "", path.stem) for path in paths)
        for path in paths:
            folder = _top(path, masks) if class_folders else ""
            key = _key(path.relative_to(masks).as_posix())
            whole[key][folder] = path
            if class_folders:
                inner[key.partition("/")[2]][folder] = path
            if stems[folder, path.stem] == 1:
                stem[path.stem][folder] = path
        names = Counter(PurePosixPath(source).stem for source in [*sources, *refused])
        return cls(whole, inner, stem, names, Counter(map(_key, sources)))

    def masks_of(self, source: str) -> dict[str, Path]:
        key, name = _key(source), PurePosixPath(source).stem
        if self.paths[key] > 1:
            return {}
        by_name = self.stem.get(name) if self.sources[name] == 1 else None
        return self.whole.get(key) or self.inner.get(key) or by_name or {}


def _mask_paths(masks: Path) -> list[Path]:
    if not masks.is_dir():
        raise InputError(f"mask folder {masks} does not exist or is no folder; check the path")
    paths = sorted(path for path in masks.rglob("*") if path.suffix.lower() == ".png" and not _is_hidden(path, masks))
    if not paths:
        raise InputError(f"no PNG in {masks}; masks are PNGs named like their images")
    return paths


def _is_hidden(path: Path, masks: Path) -> bool:
    """Whether its name or that of a folder on the way begins with a dot, as Jupyter's copies do."""
    return any(part.startswith(".") for part in path.relative_to(masks).parts)


def _has_class_folders(masks: Path, paths: Sequence[Path], classes: Sequence[LabelClass]) -> bool:
    """A class without a mask yet has no folder, or an empty one; a folder may hold background, or more than masks."""
    folders = {_top(path, masks) for path in paths}
    names, of_classes = {item.name for item in classes}, {name for name in folders if not is_background(name)}
    return "" not in folders and bool(of_classes & names) and (names <= folders or of_classes <= names)


def _guessed_classes(masks: Path, found: Mapping[Path, set[int]]) -> tuple[LabelClass, ...]:
    folders = {_top(path, masks) for path in found}
    if "" not in folders and all(len(values - {0}) <= 1 for values in found.values()):
        full = sorted(
            {name for path, values in found.items() if values - {0} if not is_background(name := _top(path, masks))}
        )
        if not full:
            raise InputError(f"every mask below {masks} is empty; there is no class in them")
        return automatic_classes(dict(enumerate(full, start=1)))
    values = set[int]().union(*found.values()) - {0, IGNORE_ID}
    if not values:
        raise InputError(ONLY_BINARY.format(masks))
    return automatic_classes({value: f"class_{value}" for value in sorted(values)})


def _check_values(found: Mapping[Path, set[int]], named: set[int], classes_file: Path) -> None:
    if set[int]().union(*found.values()) == {0, IGNORE_ID}:
        raise InputError(ONLY_BINARY.format(next(iter(found)).parent))
    for path, values in found.items():
        if unknown := sorted(values - named - {0, IGNORE_ID}):
            raise InputError(
                f"{path} holds the value {unknown[0]}, which {classes_file} does not name; add it, with "
                "'ignore: true' to leave it out"
            )


def _images(table: pd.DataFrame) -> Iterator[_Image]:
    for row in table.to_dict("records"):
        yield _Image(str(row["image_id"]), str(row["source"]), int(row["width"]), int(row["height"]))


def _rows(image: _Image, masks: Mapping[str, Path], classes: Sequence[LabelClass]) -> list[tuple[object, ...]]:
    """Rows of GOLD for one image."""
    values = {folder: _read_values(path) for folder, path in masks.items()}
    for folder, path in masks.items():
        _check_size(image, path, values[folder])
    objects = [(item.name, rle) for item in classes for rle in _components(_inside(values, item), image)]
    return [
        (image.image_id, f"{image.image_id}-{number}", label, rle, image.height, image.width)
        for number, (label, rle) in enumerate([*(objects or [("", "")]), *_unknown(values)])
    ]


def _unknown(values: Mapping[str, npt.NDArray[np.uint8]]) -> list[tuple[str, str]]:
    """No label, and the RLE of the pixels that a label map leaves out, where there are any."""
    left_out = values[""] == IGNORE_ID if "" in values else np.zeros((0, 0), dtype=bool)
    return [("", mask_to_rle(left_out))] if left_out.any() else []


def _inside(values: Mapping[str, npt.NDArray[np.uint8]], item: LabelClass) -> BoolMask | None:
    if "" in values:
        label_map: BoolMask = values[""] == pixel_value(item)
        return label_map
    return values[item.name] != 0 if item.name in values else None


def _components(inside: BoolMask | None, image: _Image) -> Iterator[str]:
    """RLE of each object of one class, from the top down."""
    if inside is None or not inside.any():
        return
    count, numbers, statistics, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=8)
    areas = statistics[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0  # what lies outside
    largest = int(areas.argmax())
    target = np.arange(count)
    target[(areas < SMALLEST_SHARE * image.width * image.height) & (target > 0)] = largest
    for number in sorted(set(target[1:].tolist())):
        joined = target == number
        corners, sides = statistics[joined, :2], statistics[joined, 2:4]
        (left, top), (right, bottom) = corners.min(axis=0).tolist(), (corners + sides).max(axis=0).tolist()
        yield crop_to_rle(joined[numbers[top:bottom, left:right]], top, left, *inside.shape)


def _check_size(image: _Image, path: Path, values: npt.NDArray[np.uint8]) -> None:
    height, width = values.shape
    if (height, width) == (image.height, image.width):
        return
    turned = (
        " (its photograph was turned upright by its EXIF orientation; turn the mask too)"
        if (width, height) == (image.height, image.width)
        else ""
    )
    raise InputError(
        f"mask {path} is {width}x{height} pixels, its image {image.source} is {image.width}x{image.height}; "
        f"make them equal{turned}"
    )


def _read_values(path: Path) -> npt.NDArray[np.uint8]:
    """The (H, W) values of a mask file. A palette's indexes count, not its colours; grey stored as RGB is accepted."""
    try:
        content = path.read_bytes()
        with Image.open(BytesIO(content)) as image:
            if image.mode[0] not in "IF" and channel_bits(image, content) > 8:
                raise InputError(f"mask {path} has several channels of 16 bits; save it as 8-bit or 16-bit grey")
            bands, factor = len(image.getbands()) - (image.mode in ("LA", "RGBA")), multiplied_by(image)
            values = np.asarray(image) // factor if factor > 1 else np.asarray(image)
    except UnidentifiedImageError as exc:  # its text is the address of what was read in memory
        raise InputError(
            f"mask {path} is no image that can be read; save it anew or take it out of the folder"
        ) from exc
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as exc:
        raise InputError(f"mask {path} cannot be read: {' '.join(str(exc).split())}") from exc
    if values.ndim == 3:
        if (values[..., :bands] != values[..., :1]).any():
            raise InputError(f"mask {path} is a colour picture; its pixels must be class ids in one channel")
        values = values[..., 0]
    if values.dtype != bool and values.max(initial=0) > IGNORE_ID:
        raise InputError(f"mask {path} holds the value {values.max()}; class ids go up to 254")
    return values.astype(np.uint8)


def _top(path: Path, masks: Path) -> str:
    """The sub-folder of `masks` that `path` lies in, "" directly in it."""
    parts = path.relative_to(masks).parts
    return parts[0] if len(parts) > 1 else ""


def _key(relative: str) -> str:
    return str(PurePosixPath(relative).with_suffix(""))
