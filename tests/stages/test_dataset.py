import numpy as np
import pandas as pd
import pytest

from datalab.adapters.dataset_folder import read_dataset
from datalab.adapters.files import read_label_map, read_table, write_json, write_table
from datalab.errors import InputError
from datalab.masks import mask_to_rle
from datalab.tables import ADJUDICATION, ANNOTATED_REGIONS, CATALOG, CONSENSUS, DATASET, RATINGS, empty
from datalab.workspace import Workspace
from tests.stages.blob_workspace import image_ids, label, run_dataset


def splits(workspace: Workspace) -> dict[str, str]:
    index = read_table(workspace.dataset / "index.parquet", DATASET)
    return dict(zip(index["image_id"], index["split"], strict=True))


def test_masks_are_the_labels_and_an_empty_image_is_background(
    blobs: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dataset(blobs)
    dataset = read_dataset(blobs.dataset)
    assert dataset.class_ids == (0, 1, 2)
    assert dataset.class_names == ("background", "disc", "square")
    assert list(dataset.index["image_id"]) == image_ids(12)
    for image_id in dataset.index["image_id"]:
        truth = read_label_map(blobs.data / "masks" / f"{image_id}.png")
        np.testing.assert_array_equal(read_label_map(dataset.mask(image_id)), truth)
    assert not read_label_map(dataset.mask(image_ids(1)[0])).any()
    assert set(dataset.index["raters"]) == {1}
    assert "dataset 0/12\n" in capsys.readouterr().err


def test_disputed_pixels_are_not_judged_and_a_small_sure_object_on_them_stays(blobs: Workspace) -> None:
    consensus = read_table(blobs.consensus, CONSENSUS)
    image_id = str(consensus["image_id"].iloc[0])
    everywhere = mask_to_rle(np.ones((48, 64), dtype=bool))
    doubt = {"reason": "existence", "kept": False, "disputed": everywhere, "votes": 1, "raters": 2, "contributors": "a"}
    row = {"image_id": image_id, "region_id": "d", "label": "disc", "rle": everywhere, "height": 48, "width": 64}
    kept = {**row, "region_id": "k", "kept": True, "disputed": ""}
    write_table(blobs.adjudication, pd.DataFrame([{**row, **doubt}, {**doubt, **kept}]).loc[:, list(ADJUDICATION)])
    run_dataset(blobs)
    found = read_label_map(read_dataset(blobs.dataset).mask(image_id))
    truth = read_label_map(blobs.data / "masks" / f"{image_id}.png")
    np.testing.assert_array_equal(found, np.where(truth == 0, 255, truth))


def test_later_labels_leave_the_splits_alone(blobs: Workspace) -> None:
    run_dataset(blobs)
    before = splits(blobs)
    assert set(before.values()) == {"train", "validation", "test"}
    ratings, regions = read_table(blobs.ratings, RATINGS), read_table(blobs.regions, ANNOTATED_REGIONS)
    label(blobs, image_ids(20)[12:])
    more = read_table(blobs.ratings, RATINGS).assign(round_id="0003")
    drawn = read_table(blobs.regions, ANNOTATED_REGIONS).assign(round_id="0003")
    write_table(blobs.ratings, pd.concat([more, ratings]))
    write_table(blobs.regions, pd.concat([drawn, regions]))
    run_dataset(blobs)
    after = splits(blobs)
    assert len(after) == 20
    assert {image_id: after[image_id] for image_id in before} == before


def test_copies_go_to_one_split(blobs: Workspace) -> None:
    catalog = read_table(blobs.catalog, CATALOG)
    hashes = [f"{1 << place:016x}" if place < 5 else phash for place, phash in enumerate(catalog["phash"])]
    write_table(blobs.catalog, catalog.assign(phash=hashes))
    run_dataset(blobs)
    assert len({splits(blobs)[image_id] for image_id in image_ids(5)}) == 1


def test_frames_of_a_clip_go_to_one_split(blobs: Workspace) -> None:
    catalog = read_table(blobs.catalog, CATALOG)
    clips = [f"clip{place % 4}_{place}.png" for place in range(len(catalog))]
    write_table(blobs.catalog, catalog.assign(source=clips))
    run_dataset(blobs, group_by=r"^(.*)_\d+")
    index = read_table(blobs.dataset / "index.parquet", DATASET)
    assert index.groupby("group")["split"].nunique().max() == 1
    assert index["group"].nunique() == 4
    assert index["split"].nunique() == 3


def test_images_of_a_patient_go_to_one_split(blobs: Workspace) -> None:
    ids = image_ids(13)
    said = pd.DataFrame({"image_id": ids, "patient": [f"p{place % 4}" if place < 8 else "" for place in range(13)]})
    write_table(blobs.metadata, said)
    run_dataset(blobs, group_column="patient")
    index = read_table(blobs.dataset / "index.parquet", DATASET)
    assert index.groupby("group")["split"].nunique().max() == 1
    groups = dict(zip(index["image_id"], index["group"], strict=True))
    assert [groups[image_id] for image_id in ids[:12]] == [*ids[:4], *ids[:4], *ids[8:12]]


def test_a_column_that_no_metadata_has_is_one_line(blobs: Workspace) -> None:
    write_table(blobs.metadata, pd.DataFrame({"image_id": image_ids(1), "site": ["a"], "weather": ["dry"]}))
    with pytest.raises(InputError, match=r"a column 'patient' with anything in it \(there are site, weather\)"):
        run_dataset(blobs, group_column="patient")
    assert not blobs.dataset.exists()


def test_gold_stays_out(blobs: Workspace) -> None:
    ratings = read_table(blobs.ratings, RATINGS)
    write_table(blobs.ratings, ratings.assign(role=["gold", *["batch"] * (len(ratings) - 1)]))
    run_dataset(blobs)
    assert image_ids(1)[0] not in splits(blobs)


def test_the_same_inputs_give_the_same_bytes(blobs: Workspace) -> None:
    contents = []
    for _ in "ab":
        run_dataset(blobs)
        contents.append({path.name: path.read_bytes() for path in blobs.dataset.rglob("*") if path.is_file()})
    assert contents[0] == contents[1]


def test_nothing_labelled_is_one_line_and_leaves_nothing(blobs: Workspace) -> None:
    write_table(blobs.ratings, empty(RATINGS))
    with pytest.raises(InputError, match="no image but gold has an answer that counts"):
        run_dataset(blobs)
    assert not blobs.dataset.exists()


def test_too_few_images_leave_nothing(blobs: Workspace) -> None:
    label(blobs, image_ids(2))
    with pytest.raises(InputError, match="label at least 3"):
        run_dataset(blobs)
    assert not blobs.dataset.exists()


def test_an_unknown_class_names_the_image_and_the_known_ones(blobs: Workspace) -> None:
    consensus = read_table(blobs.consensus, CONSENSUS)
    wrong = consensus["image_id"].iloc[-1]
    labels = consensus["label"].mask(consensus["image_id"] == wrong, "cube")
    write_table(blobs.consensus, consensus.assign(label=labels))
    with pytest.raises(InputError, match=rf"^image {wrong}: class 'cube' is not in .*disc, square; add it there"):
        run_dataset(blobs)
    assert not blobs.dataset.exists()


def test_a_labelled_image_that_left_the_catalog_is_one_line(blobs: Workspace) -> None:
    write_table(blobs.catalog, read_table(blobs.catalog, CATALOG).iloc[1:])
    with pytest.raises(InputError, match="is not in the catalog"):
        run_dataset(blobs)


def test_broken_classes_are_one_line(blobs: Workspace) -> None:
    run_dataset(blobs)
    write_json(blobs.dataset / "classes.json", [{"name": "disc"}])
    with pytest.raises(InputError, match="no list of classes"):
        read_dataset(blobs.dataset)
