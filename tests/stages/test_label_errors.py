import numpy as np
import pytest

from datalab.adapters.files import read_label_map, read_table, write_label_map
from datalab.stages.label_errors import Params, run
from datalab.tables import LABEL_ERRORS
from datalab.workspace import Workspace
from tests.stages.blob_workspace import POLICY, TRAIN, image_ids, run_dataset

PARAMS = Params(seed=1, folds=2, steps=60, imbalance=0.0, least_area=6, least_score=0.5)


@pytest.mark.slow
def test_a_spoiled_label_is_the_worst(blobs: Workspace) -> None:
    run_dataset(blobs)
    # the first image is empty; of the others one with an object loses it and keeps a square elsewhere
    spoiled = image_ids(12)[5]
    mask = blobs.dataset / "masks" / f"{spoiled}.png"
    truth = read_label_map(mask)
    assert truth.any()
    write_label_map(mask, np.zeros_like(truth))
    out = blobs.data / "label_errors.parquet"
    run(blobs.dataset, blobs.images, blobs.embeddings, out, PARAMS, TRAIN, POLICY)
    table = read_table(out, LABEL_ERRORS)
    for kind in ("image", "model"):
        whole = table[table["kind"] == kind]
        assert len(whole) == 12
        assert whole["image_id"].iloc[0] == spoiled
    objects = table[~table["kind"].isin(["image", "model"])]
    first = objects.iloc[0]
    assert (first["image_id"], first["kind"], first["given"]) == (spoiled, "dropped", "background")
    assert 0 <= first["x"] < first["x"] + first["width"] <= 64
    assert objects["score"].is_monotonic_decreasing
    before = out.read_bytes()
    run(blobs.dataset, blobs.images, blobs.embeddings, out, PARAMS, TRAIN, POLICY)
    assert out.read_bytes() == before
