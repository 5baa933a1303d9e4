"""Write the sample: a folder of images as people have them, and a folder of their exact masks."""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml
from PIL import Image
from tqdm import tqdm

from datalab.adapters.files import fresh_folder, readable_disk_errors
from datalab.errors import InputError
from datalab.sample.compose import CLASS_IDS, compose

FEWEST = 120
CLASSES = (
    ("coin", "#e69f00", "One whole coin, to the rim of its metal. Coins are marked one by one."),
    ("cup", "#56b4e9", "The cup with its handle and what is in it; with the saucer and spoon if it stands on one."),
    ("person", "#009e73", "A person with what he or she wears and holds in the hands."),
)
"""(name, colour, rule), as in guidelines/classes.yaml."""
ORIENTATION = 0x0112
TURNED = 9
"""Number of the image that is stored lying on its side, with an EXIF orientation."""
COPIED = (3, 17)
RECOMPRESSED = (5, 29)
CUT_OFF = 7


def write_sample(out: Path, count: int, seed: int) -> None:
    """Make `out`/images, `out`/masks and `out`/masks/classes.yaml; same count and seed, same bytes.

    `count` different images of 320x256 pixels (every eighth a PNG, the others JPEG), one of them lying on its side
    with an EXIF orientation; besides two exact copies, two copies compressed once more, a JPEG cut off in the middle
    and a text named .jpg. Image n depends on `seed` and n alone. InputError where `count` is below 120 or `out` exists
    or cannot be written.
    """
    if out.resolve() == Path.cwd():  # the finished folder takes its place, and the shell would stand in none
        raise InputError(
            "the sample cannot take the place of the folder that you are in; name another: datalab sample new"
        )
    if count < FEWEST:
        raise InputError(f"the sample needs at least {FEWEST} images, not {count}")
    with readable_disk_errors(out):
        there = out.exists()
    if there and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is not empty; give a new folder for the sample")
    with fresh_folder(out) as folder:
        for name in ("images/copies", "masks/copies", "images/broken"):
            (folder / name).mkdir(parents=True)
        for number in tqdm(range(1, count + 1), "sample images", unit="image", disable=None):
            _write_scene(folder, number, seed)
        _write_copies(folder)
        _write_broken(folder)
        (folder / "masks" / "classes.yaml").write_text(classes_yaml(), encoding="utf-8")


def classes_yaml() -> str:
    """The classes of the sample in the form of guidelines/classes.yaml."""
    entries = [
        {"id": CLASS_IDS[name], "name": name, "color": color, "rule": rule, "hotkey": str(CLASS_IDS[name])}
        for name, color, rule in CLASSES
    ]
    return yaml.safe_dump({"classes": entries}, sort_keys=False, width=120)


def _write_scene(folder: Path, number: int, seed: int) -> None:
    scene = compose(np.random.default_rng([seed, number]))
    suffix = "png" if number % 8 == 0 else "jpg"
    (folder / "images" / f"{number:04d}.{suffix}").write_bytes(_encoded(scene.pixels, suffix, number == TURNED))
    Image.fromarray(scene.label_map).save(folder / "masks" / f"{number:04d}.png")


def _encoded(pixels: npt.NDArray[np.uint8], suffix: str, on_its_side: bool) -> bytes:
    buffer = io.BytesIO()
    if suffix == "png":
        Image.fromarray(pixels).save(buffer, "PNG")
    elif on_its_side:
        exif = Image.Exif()
        exif[ORIENTATION] = 6  # to be shown turned by 90 degrees clockwise
        Image.fromarray(np.ascontiguousarray(np.rot90(pixels))).save(buffer, "JPEG", quality=92, exif=exif)
    else:
        Image.fromarray(pixels).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def _write_copies(folder: Path) -> None:
    images, masks = folder / "images", folder / "masks"
    for number in COPIED:
        (images / "copies" / f"{number:04d} (1).jpg").write_bytes((images / f"{number:04d}.jpg").read_bytes())
    for number in RECOMPRESSED:
        name = f"copies/{number:04d} small"
        with Image.open(images / f"{number:04d}.jpg") as image:
            image.save(images / f"{name}.jpg", quality=55)
        (masks / f"{name}.png").write_bytes((masks / f"{number:04d}.png").read_bytes())


def _write_broken(folder: Path) -> None:
    whole = (folder / "images" / f"{CUT_OFF:04d}.jpg").read_bytes()
    (folder / "images" / "broken" / "cut off.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "images" / "broken" / "notes.jpg").write_text("This is a text; somebody renamed it.\n", encoding="utf-8")
