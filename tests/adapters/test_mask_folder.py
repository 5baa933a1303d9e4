"""Mask folders of every layout, typed by hand."""

import tracemalloc
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage

from datalab.adapters.mask_classes import ZERO_ID
from datalab.adapters.mask_folder import read_classes, read_truth
from datalab.errors import InputError
from datalab.masks import label_map, mask_to_rle, rle_area, rle_to_mask
from datalab.tables import CATALOG, known_objects, unknown_pixels
from tests.adapters.png_bytes import png
from tests.shared_data import shared_data

CAMVID_CLASSES = Path(__file__).parents[2] / "docs" / "examples" / "camvid-classes.yaml"
SCENE = [
    "1100002",
    "1100002",
    "0000000",
    "0110999",
    "0110999",
]
"""Two objects of class 1 that do not touch, one of 2, one of 9."""


def values(rows: list[str]) -> npt.NDArray[np.uint8]:
    return np.array([[int(digit) for digit in row] for row in rows], dtype=np.uint8)


def save(path: Path, rows: list[str] | npt.NDArray[np.generic]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values(rows) if isinstance(rows, list) else rows).save(path)


def catalog(*sources: str, width: int = 7, height: int = 5) -> pd.DataFrame:
    rows = [(f"id{n}", f"id{n}.png", source, width, height, "0" * 16, f"id{n}") for n, source in enumerate(sources)]
    return pd.DataFrame(rows, columns=list(CATALOG))


def labels(truth: pd.DataFrame) -> dict[str, list[str]]:
    return {str(image_id): list(rows["label"]) for image_id, rows in truth.groupby("image_id")}


def test_label_maps_without_names(tmp_path: Path) -> None:
    save(tmp_path / "a.png", SCENE)
    save(tmp_path / "b.png", ["0000000"] * 5)
    classes = read_classes(tmp_path)
    assert [(item.id, item.name) for item in classes] == [(1, "class_1"), (2, "class_2"), (9, "class_9")]
    truth = read_truth(tmp_path, catalog("a.jpg", "b.jpg", "c.jpg"), classes)
    assert labels(truth) == {"id0": ["class_1", "class_1", "class_2", "class_9"], "id1": [""]}
    assert truth["region_id"].is_unique
    assert truth.iloc[-1][["rle", "height", "width"]].tolist() == ["", 5, 7]
    ids = {item.name: item.id for item in classes}
    regions = [(ids[row["label"]], str(row["rle"])) for row in truth.to_dict("records") if row["label"]]
    assert label_map(regions, 5, 7).tolist() == values(SCENE).tolist()


def test_diagonal_neighbours_hang_together(tmp_path: Path) -> None:
    save(tmp_path / "a.png", ["1000000", "0100000", "0010000", "0000000", "0000000"])
    assert len(read_truth(tmp_path, catalog("a.jpg"), read_classes(tmp_path))) == 1


def test_named_values_left_out_values_and_255(tmp_path: Path) -> None:
    mask = values(SCENE)
    mask[2] = 255
    save(tmp_path / "a.png", mask)
    (tmp_path / "classes.yaml").write_text(
        "classes:\n- {id: 1, name: coin}\n- {id: 2, name: cup}\n- {id: 9, name: unclear, ignore: true}\n"
    )
    classes = read_classes(tmp_path)
    assert [item.name for item in classes] == ["coin", "cup"]
    truth = read_truth(tmp_path, catalog("a.jpg"), classes)
    assert labels(known_objects(truth)) == {"id0": ["coin", "coin", "cup"]}
    assert rle_to_mask(unknown_pixels(truth)["id0"], 5, 7).tolist() == (mask == 255).tolist()


def test_nothing_but_what_is_left_out_is_an_image_of_nothing(tmp_path: Path) -> None:
    save(tmp_path / "a.png", np.full((5, 7), 255, dtype=np.uint8))
    save(tmp_path / "b.png", SCENE)
    truth = read_truth(tmp_path, catalog("a.jpg"), read_classes(tmp_path))
    assert list(zip(truth["label"], truth["rle"] != "", strict=True)) == [("", False), ("", True)]


def test_a_value_without_a_name(tmp_path: Path) -> None:
    save(tmp_path / "masks" / "a.png", SCENE)
    (tmp_path / "c.yaml").write_text("classes:\n- {id: 1, name: coin}\n- {id: 2, name: cup}\n")
    with pytest.raises(InputError, match=r"a\.png holds the value 9, which .*c\.yaml does not name"):
        read_classes(tmp_path / "masks", tmp_path / "c.yaml")


def test_zero_as_a_class(tmp_path: Path) -> None:
    save(tmp_path / "a.png", ["0000000", "0000000", "1111111", "1111111", "1111111"])
    (tmp_path / "classes.yaml").write_text("classes:\n- {id: 0, name: sky}\n- {id: 1, name: road}\n")
    truth = read_truth(tmp_path, catalog("a.jpg"), read_classes(tmp_path))
    assert dict(zip(truth["label"], (rle_area(rle, 5, 7) for rle in truth["rle"]), strict=True)) == {
        "sky": 14,
        "road": 21,
    }


def test_specks_join_the_largest_object(tmp_path: Path) -> None:
    mask = np.zeros((200, 100), dtype=np.uint8)
    mask[:10, :10] = mask[50:70, :20] = 1
    mask[150, 50] = mask[150:152, 80:82] = 1  # 1 and 4 pixels; a speck has fewer than 200 * 100 / 5000 = 4
    save(tmp_path / "a.png", mask)
    truth = read_truth(tmp_path, catalog("a.jpg", width=100, height=200), read_classes(tmp_path))
    assert sorted(rle_area(rle, 200, 100) for rle in truth["rle"]) == [4, 100, 401]


@pytest.mark.parametrize("share", [0.02, 0.15, 0.4])
def test_objects_in_their_boxes_are_those_of_the_whole_mask(tmp_path: Path, share: float) -> None:
    mask = np.random.default_rng(0).random((200, 100)) < share
    save(tmp_path / "a.png", mask.astype(np.uint8))
    truth = read_truth(tmp_path, catalog("a.jpg", width=100, height=200), read_classes(tmp_path))
    numbers, count = ndimage.label(mask, np.ones((3, 3)))
    areas = np.bincount(numbers.ravel())[1:]
    joined = np.isin(numbers, np.flatnonzero(areas < 4) + 1) | (numbers == areas.argmax() + 1)
    others = [numbers == number for number in range(1, count + 1) if not joined[numbers == number].any()]
    assert set(truth["rle"]) == {mask_to_rle(one) for one in (joined, *others)}


def test_many_objects_of_a_large_mask_take_little_memory(tmp_path: Path) -> None:
    """The components' numbers, in 32 bits, are the largest part."""
    mask = np.tile(np.pad(np.ones((20, 30), dtype=np.uint8), ((0, 30), (0, 30))), (20, 20))
    save(tmp_path / "a.png", mask)
    tracemalloc.start()
    truth = read_truth(tmp_path, catalog("a.jpg", width=1200, height=1000), read_classes(tmp_path))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(truth) == 400
    assert most < 9 * mask.size


def test_a_lone_speck_stays(tmp_path: Path) -> None:
    mask = np.zeros((200, 100), dtype=np.uint8)
    mask[3, 3] = 1
    save(tmp_path / "a.png", mask)
    truth = read_truth(tmp_path, catalog("a.jpg", width=100, height=200), read_classes(tmp_path))
    assert [rle_area(rle, 200, 100) for rle in truth["rle"]] == [1]


def test_class_folders(tmp_path: Path) -> None:
    save(tmp_path / "dent" / "a.png", values(SCENE) == 1)
    save(tmp_path / "crack" / "a.png", ((values(SCENE) == 2) * 255).astype(np.uint8))
    save(tmp_path / "free" / "b.png", ["0000000"] * 5)
    save(tmp_path / "crack" / "b.png", ["0000000"] * 5)
    classes = read_classes(tmp_path)
    assert [(item.id, item.name) for item in classes] == [(1, "crack"), (2, "dent")]
    truth = read_truth(tmp_path, catalog("x/a.jpg", "b.jpg"), classes)
    assert labels(truth) == {"id0": ["crack", "dent", "dent"], "id1": [""]}


def test_a_folder_of_background_is_no_class(tmp_path: Path) -> None:
    save(tmp_path / "cup" / "a.png", ["0011000"] * 5)
    save(tmp_path / "background" / "a.png", ["1100111"] * 5)
    save(tmp_path / "background" / "b.png", ["1111111"] * 5)
    classes = read_classes(tmp_path)
    assert [item.name for item in classes] == ["cup"]
    assert labels(read_truth(tmp_path, catalog("a.png", "b.png"), classes)) == {"id0": ["cup"], "id1": [""]}


def test_a_name_that_a_refused_image_has_too_is_not_unique(tmp_path: Path) -> None:
    """100/a.png is the mask of 100/a.jpg, which was cut off and is in no catalog."""
    save(tmp_path / "100" / "a.png", SCENE)
    save(tmp_path / "101" / "b.png", SCENE)
    classes = read_classes(tmp_path)
    assert set(read_truth(tmp_path, catalog("101/a.jpg", "b.jpg"), classes)["image_id"]) == {"id0", "id1"}
    truth = read_truth(tmp_path, catalog("101/a.jpg", "b.jpg"), classes, refused=["100/a.jpg"])
    assert set(truth["image_id"]) == {"id1"}


def test_hidden_folders_hold_no_masks(tmp_path: Path) -> None:
    save(tmp_path / "car" / "a.png", values(SCENE) == 1)
    save(tmp_path / ".ipynb_checkpoints" / "a-checkpoint.png", values(SCENE) == 1)
    assert [item.name for item in read_classes(tmp_path)] == ["car"]


def test_the_value_254_is_refused(tmp_path: Path) -> None:
    """As an id it stands for the value 0."""
    save(tmp_path / "a.png", np.where(values(SCENE) == 1, 254, 0).astype(np.uint8))
    with pytest.raises(InputError, match="'class_254' has the value 254, the id that a class of value 0 gets"):
        read_classes(tmp_path)


def test_images_in_class_folders_too(tmp_path: Path) -> None:
    save(tmp_path / "dent" / "a.png", values(SCENE) == 1)
    save(tmp_path / "crack" / "a.png", values(SCENE) == 2)
    truth = read_truth(tmp_path, catalog("dent/a.jpg", "crack/a.jpg"), read_classes(tmp_path))
    assert labels(truth) == {"id0": ["dent", "dent"], "id1": ["crack"]}


def test_named_class_folders(tmp_path: Path) -> None:
    save(tmp_path / "masks" / "dent" / "a.png", values(SCENE) == 1)
    save(tmp_path / "masks" / "other" / "b.png", values(SCENE) == 2)
    (tmp_path / "c.yaml").write_text("classes:\n- {id: 40, name: dent, rule: Pressed in.}\n")
    classes = read_classes(tmp_path / "masks", tmp_path / "c.yaml")
    assert [(item.id, item.rule) for item in classes] == [(40, "Pressed in.")]
    truth = read_truth(tmp_path / "masks", catalog("a.jpg", "b.jpg"), classes)
    assert labels(truth) == {"id0": ["dent", "dent"], "id1": [""]}


def test_a_class_without_a_mask_yet_needs_no_folder(tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    save(masks / "dent" / "a.png", (values(SCENE) == 1).astype(np.uint8) * 255)
    (tmp_path / "c.yaml").write_text("classes:\n- {id: 1, name: dent}\n- {id: 2, name: scratch}\n")
    classes = read_classes(masks, tmp_path / "c.yaml")
    assert [item.name for item in classes] == ["dent", "scratch"]
    assert labels(read_truth(masks, catalog("a.jpg"), classes)) == {"id0": ["dent", "dent"]}


def test_binary_masks_that_are_no_label_maps_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "masks" / "a.png", (values(SCENE) == 1).astype(np.uint8) * 255)
    (tmp_path / "c.yaml").write_text("classes:\n- {id: 1, name: dent}\n")
    with pytest.raises(InputError, match=r"hold only 0 \(background\) and 255 \(left out\)"):
        read_classes(tmp_path / "masks", tmp_path / "c.yaml")


def test_a_path_that_two_images_have_gives_neither_a_mask(tmp_path: Path) -> None:
    save(tmp_path / "a.png", SCENE)
    save(tmp_path / "b.png", SCENE)
    truth = read_truth(tmp_path, catalog("a.jpg", "a.jpg", "b.jpg"), read_classes(tmp_path))
    assert set(truth["image_id"]) == {"id2"}


@pytest.mark.parametrize("folder", ["", "dent/"])
def test_images_that_differ_in_their_ending_alone_have_no_mask(tmp_path: Path, folder: str) -> None:
    save(tmp_path / folder / "a.png", values(SCENE) == 1)
    save(tmp_path / folder / "b.png", values(SCENE) == 1)
    classes = read_classes(tmp_path)
    truth = read_truth(tmp_path, catalog("a.jpg", "a.png", "b.jpg"), classes)
    assert set(truth["image_id"]) == {"id2"}
    with pytest.raises(InputError, match=r"such as a\.jpg, that no other image has too; rename them"):
        read_truth(tmp_path, catalog("a.jpg", "a.png"), classes)


def test_the_picture_made_of_a_refused_one_keeps_its_mask(tmp_path: Path) -> None:
    save(tmp_path / "a.png", SCENE)
    truth = read_truth(tmp_path, catalog("a.jpg"), read_classes(tmp_path), refused=["a.heic"])
    assert set(truth["image_id"]) == {"id0"}


def test_label_maps_in_sub_folders(tmp_path: Path) -> None:
    save(tmp_path / "monday" / "a.png", SCENE)
    save(tmp_path / "tuesday" / "a.png", ["2222222"] * 5)
    truth = read_truth(tmp_path, catalog("monday/a.jpg", "tuesday/a.jpg"), read_classes(tmp_path))
    assert labels(truth) == {"id0": ["class_1", "class_1", "class_2", "class_9"], "id1": ["class_2"]}


def test_a_name_alone_counts_only_where_it_is_unique(tmp_path: Path) -> None:
    save(tmp_path / "a.png", SCENE)
    save(tmp_path / "b.png", SCENE)
    truth = read_truth(tmp_path, catalog("x/a.jpg", "y/a.jpg", "z/b.jpg"), read_classes(tmp_path))
    assert set(truth["image_id"]) == {"id2"}


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_grey_in_other_forms(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(values(SCENE))
    if mode == "P":
        image.putpalette([7] * 768)  # the colours do not matter, the indexes do
    (image if mode == "P" else image.convert(mode)).save(tmp_path / "a.png")
    assert [item.id for item in read_classes(tmp_path)] == [1, 2, 9]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.eye(3, dtype=np.uint8)[:, :, None] * np.array([1, 2, 3], np.uint8), "colour picture"),
        (np.full((3, 3), 300, np.uint16), "holds the value 300"),
        (np.full((3, 3), 255, np.uint8), "only 0 .background. and 255"),
    ],
)
def test_masks_that_are_none(tmp_path: Path, mask: npt.NDArray[np.generic], message: str) -> None:
    save(tmp_path / "a.png", mask)
    with pytest.raises(InputError, match=message):
        read_classes(tmp_path)


@pytest.mark.parametrize("colour", [2, 4, 6])
def test_16_bit_colour_is_no_mask(tmp_path: Path, colour: int) -> None:
    """Pillow keeps its upper bytes: the class 3 everywhere was read as 0, an image without objects."""
    rows = (b"\0" + b"\0\3" * {2: 3, 4: 2, 6: 4}[colour] * 7) * 5
    (tmp_path / "a.png").write_bytes(png(7, 5, 16, colour, rows))
    with pytest.raises(InputError, match=r"a\.png has several channels of 16 bits; save it as 8-bit or 16-bit grey"):
        read_classes(tmp_path)


def test_16_bit_grey_is_a_mask(tmp_path: Path) -> None:
    save(tmp_path / "a.png", values(SCENE).astype(np.uint16))
    assert [item.id for item in read_classes(tmp_path)] == [1, 2, 9]


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_grey_of_few_bits_keeps_its_values(tmp_path: Path, bits: int) -> None:
    ids = values(["1100002", "1100002", "0000000", "0110333", "0110333"])
    each = np.pad(ids, ((0, 0), (0, 1))).reshape(5, -1, 8 // bits)
    packed = (each << np.arange(8 - bits, -1, -bits, dtype=np.uint8)).sum(axis=2).astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes()[: -(-7 * bits // 8)] for row in packed)
    (tmp_path / "a.png").write_bytes(png(7, 5, bits, 0, rows))
    assert [item.id for item in read_classes(tmp_path)] == [1, 2, 3]


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_classes(tmp_path / "absent")
    with pytest.raises(InputError, match="no PNG"):
        read_classes(tmp_path)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    with pytest.raises(
        InputError, match=r"a\.png is no image that can be read; save it anew or take it out of the folde"
    ):
        read_classes(tmp_path)
    save(tmp_path / "free" / "a.png", ["00"])
    (tmp_path / "a.png").unlink()
    with pytest.raises(InputError, match="is empty"):
        read_classes(tmp_path)


def test_another_size_names_both_and_the_file(tmp_path: Path) -> None:
    save(tmp_path / "a.png", SCENE)
    classes = read_classes(tmp_path)
    with pytest.raises(InputError, match=r"a\.png is 7x5 pixels, its image a\.jpg is 8x5; make them equal$"):
        read_truth(tmp_path, catalog("a.jpg", width=8), classes)
    with pytest.raises(InputError, match="turned upright by its EXIF orientation"):
        read_truth(tmp_path, catalog("a.jpg", width=5, height=7), classes)


def test_no_mask_fits(tmp_path: Path) -> None:
    save(tmp_path / "a.png", SCENE)
    with pytest.raises(InputError, match=r"has the name of an image, such as z\.jpg"):
        read_truth(tmp_path, catalog("z.jpg"), read_classes(tmp_path))


def real_catalog(images: Path, count: int) -> pd.DataFrame:
    paths = sorted(images.rglob("*.jpg"))[:: max(1, len(list(images.rglob("*.jpg"))) // count)]
    rows = []
    for path in paths:
        with Image.open(path) as image:
            rows.append(
                (path.stem, path.name, path.relative_to(images).as_posix(), *image.size, "0" * 16, path.stem),
            )
    return pd.DataFrame(rows, columns=list(CATALOG))


@pytest.mark.slow
def test_magnetic_tile() -> None:
    masks = shared_data("magnetic_tile") / "masks"
    classes = read_classes(masks)
    assert [item.name for item in classes] == ["blowhole", "break", "crack", "fray", "uneven"]
    table = real_catalog(masks.parent / "images", 200)
    truth = read_truth(masks, table, classes)
    assert set(truth["image_id"]) == set(table["image_id"])
    assert {"", "crack", "uneven"} <= set(truth["label"])
    for row in table.to_dict("records"):
        with Image.open(masks / Path(row["source"]).with_suffix(".png")) as image:
            own = truth[(truth["image_id"] == row["image_id"]) & (truth["label"] != "")]
            union = np.zeros((row["height"], row["width"]), dtype=bool)
            for rle in own["rle"]:
                union |= rle_to_mask(rle, row["height"], row["width"])
            assert (union == np.asarray(image)).all()


@pytest.mark.slow
def test_camvid_with_sky_as_zero() -> None:
    masks = shared_data("camvid") / "train" / "masks"
    classes = read_classes(masks, CAMVID_CLASSES)
    ids = {item.name: item.id for item in classes}
    table = real_catalog(masks.parent / "images", 10)
    truth = read_truth(masks, table, classes)
    for row in table.to_dict("records"):
        own = truth[truth["image_id"] == row["image_id"]]
        painted = label_map(zip(own["label"].map(ids), own["rle"], strict=True), 360, 480)
        with Image.open(masks / f"{row['image_id']}.png") as image:
            given = np.asarray(image)
        assert (painted == np.where(given == 0, ZERO_ID, np.where(given == 11, 0, given))).all()
