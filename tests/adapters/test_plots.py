from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from datalab.adapters.files import read_rgb
from datalab.adapters.plots import TILE_SIDE, Tile, for_tile, plot_confusion, plot_contact_sheet, plot_iou, plot_slices
from datalab.masks import IGNORE_ID

COLORS = {1: "#ff0000"}


def tile(truth: npt.NDArray[np.uint8], predicted: npt.NDArray[np.uint8], iou: float = 0.5) -> Tile:
    return Tile("0123456789abcdef", np.full((*truth.shape, 3), 90, dtype=np.uint8), truth, predicted, iou)


def count_of(path: Path, color: tuple[int, int, int]) -> int:
    return int((np.abs(read_rgb(path).astype(int) - color).max(axis=2) < 30).sum())


@pytest.fixture
def square() -> npt.NDArray[np.uint8]:
    label_map = np.zeros((40, 60), dtype=np.uint8)
    label_map[10:30, 0:30] = 1
    return label_map


def test_outlines_show_in_the_colour_of_the_class(tmp_path: Path, square: npt.NDArray[np.uint8]) -> None:
    nothing = np.zeros_like(square)
    plot_contact_sheet(tmp_path / "both.png", [tile(square, square)], COLORS)
    plot_contact_sheet(tmp_path / "none.png", [tile(nothing, nothing, float("nan"))], COLORS)
    assert count_of(tmp_path / "both.png", (255, 0, 0)) > 50
    assert count_of(tmp_path / "none.png", (255, 0, 0)) == 0


def test_a_class_without_a_colour_and_pixels_not_judged_do_no_harm(
    tmp_path: Path, square: npt.NDArray[np.uint8]
) -> None:
    other = np.where(square == 1, 9, 255).astype(np.uint8)
    plot_contact_sheet(tmp_path / "sheet.png", [tile(other, square)] * 5, COLORS)
    assert read_rgb(tmp_path / "sheet.png").shape[1] > 1000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "small"), [((3000, 4000), (384, 512)), ((4000, 3000), (512, 384)), ((2, 6000), (1, 512))]
)
def test_a_photograph_is_shrunk_before_it_is_outlined(size: tuple[int, int], small: tuple[int, int]) -> None:
    label_map = np.zeros(size, dtype=np.uint8)
    label_map[:, size[1] // 2 :] = 7
    shrunk = for_tile(label_map)
    assert shrunk.shape == small
    assert set(np.unique(shrunk)) == {0, 7}
    assert for_tile(np.repeat(label_map[..., None], 3, axis=2)).shape == (*small, 3)
    assert max(small) == TILE_SIDE


def test_no_labelled_object_is_lost_on_a_tile() -> None:
    label_map = np.zeros((1500, 2000), dtype=np.uint8)
    label_map[100:1400, 1000:1900] = 1
    label_map[200:201, 100:900] = 2
    label_map[300:1300, 1500:1502] = 3
    for place in range(20):
        label_map[401 + 45 * place : 403 + 45 * place, 101 + 21 * place : 103 + 21 * place] = 4
    tile_map = for_tile(label_map)
    assert tile_map.shape == (384, 512)
    assert np.count_nonzero(tile_map == 2) == pytest.approx(800 * 512 / 2000, abs=2)
    # also within an object of another class, which stays what it is elsewhere
    assert set(tile_map[100:300, 375:395].max(axis=1)) == {3}
    assert np.count_nonzero(tile_map == 1) > 0.98 * 1300 * 900 * (512 / 2000) ** 2 - 2 * 256
    count, _ = cv2.connectedComponents((tile_map == 4).astype(np.uint8))
    assert count - 1 == 20


def test_pixels_that_nobody_judged_are_no_objects_of_a_tile() -> None:
    label_map = np.zeros((1500, 2000), dtype=np.uint8)
    label_map[200:201, 100:900] = IGNORE_ID
    assert not for_tile(label_map).any()


def test_a_shrunk_image_is_the_mean_of_its_pixels_and_a_small_one_stays() -> None:
    stripes = np.zeros((1024, 1024, 3), dtype=np.uint8)
    stripes[::2] = 200
    assert set(np.unique(for_tile(stripes))) == {100}
    assert for_tile(stripes[:512, :512]).tobytes() == stripes[:512, :512].tobytes()


def test_undefined_values_are_drawn_as_words(tmp_path: Path) -> None:
    table = pd.DataFrame(
        [("leaf", 0.5, 0.4, 0.6), ("rust", None, None, None), ("soil", 0.9, None, None)],
        columns=["class", "iou", "low", "high"],
    )
    plot_iou(tmp_path / "iou.png", table)
    assert count_of(tmp_path / "iou.png", (0x4C, 0x72, 0xB0)) > 1000


def test_names_are_drawn_as_they_are_and_not_as_formulas(tmp_path: Path) -> None:
    names = ["cost$#1$", r"a$\x$", "50$ % 20$"]
    table = pd.DataFrame({"class": names, "iou": [0.5, 0.2, 1.0], "low": 0.1, "high": 0.9})
    plot_iou(tmp_path / "iou.png", table)
    plot_confusion(tmp_path / "confusion.png", names, np.eye(3, dtype=np.int64))
    assert (tmp_path / "iou.png").exists()


LONG = "lower half of camera_temperature_celsius & scratch on the lower side there, of every folder"


@pytest.mark.parametrize("name", [LONG, LONG.replace(" ", "_")], ids=["words", "one word"])
def test_a_long_name_of_a_slice_leaves_its_bar_room(tmp_path: Path, name: str) -> None:
    row = {"images": 12, "iou": 1.0, "low": 0.9, "high": 1.0, "elsewhere": 0.7, "q": 1.0}
    plot_slices(tmp_path / "slices.png", pd.DataFrame([{"slice": name, **row}, {"slice": "dark", **row}]), 0.1)
    drawn = read_rgb(tmp_path / "slices.png").astype(int)
    blue = np.abs(drawn - (0x4C, 0x72, 0xB0)).max(axis=2) < 12
    assert blue.any(axis=0).sum() > drawn.shape[1] * 0.4
    # nothing is cut off at the left
    assert (drawn[:, :3] == 255).all()


def test_an_empty_row_of_the_confusion_matrix_is_grey(tmp_path: Path) -> None:
    plot_confusion(tmp_path / "confusion.png", ["a", "b"], np.array([[5, 5], [0, 0]]))
    assert count_of(tmp_path / "confusion.png", (0xDD, 0xDD, 0xDD)) > 1000


@pytest.mark.slow
def test_the_confusion_picture_of_many_classes_stays_of_a_size(tmp_path: Path) -> None:
    for count in (45, 60):
        names = [f"class {place}" for place in range(count)]
        # a third in each of three cells of a row, where a number would be black
        pooled = sum(np.roll(np.eye(count, dtype=np.int64), step, axis=1) for step in range(3))
        plot_confusion(tmp_path / f"{count}.png", names, np.asarray(pooled))
    sizes = [read_rgb(tmp_path / f"{count}.png").shape for count in (45, 60)]
    assert sizes[0] == sizes[1]
    assert max(sizes[0]) < 2400
    cells = read_rgb(tmp_path / "60.png")[300:-500, 400:-500]
    assert count_of(tmp_path / "60.png", (0, 0, 0)) > 1000
    assert cells.min() > 100


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, square: npt.NDArray[np.uint8]) -> None:
    for name in "ab":
        plot_contact_sheet(tmp_path / f"{name}.png", [tile(square, square)], COLORS)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
