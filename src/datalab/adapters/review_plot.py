"""The embedding plot and the workspace of the review app: images that look alike lie close, beside the grid."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.decomposition import PCA

from datalab.learning.embeddings import image_vector

PLOT = "sam_embeddings"
WORKSPACE = "review"
FEWEST = 3
"""Images; two points lie on a line whatever they are."""


def save_plot(fiftyone: Any, dataset: Any, catalog: pd.DataFrame, embeddings: Path | None) -> bool:
    """Lay the images out by their SAM embeddings, and save a workspace with it; False where there are too few.

    Done anew only where images or embeddings have changed: reading 10,000 embeddings takes a minute.
    """
    rows = [] if embeddings is None else _with_embedding(catalog, embeddings)
    if embeddings is None or len(rows) < FEWEST:
        return False
    digest = _digest(rows, embeddings)
    if dataset.info.get("plot") != digest or not dataset.has_brain_run(PLOT):
        vectors = np.stack([_vector(embeddings, row) for row in rows])
        sample_ids = dict(zip(*dataset.values(["image_id", "id"]), strict=True))
        places = plane([sample_ids[row["image_id"]] for row in rows], vectors)
        _store(dataset, places)
        dataset.info = {**dataset.info, "plot": digest}
        dataset.save()
    if not dataset.has_workspace(WORKSPACE):
        _save_workspace(fiftyone, dataset)
    return True


def plane(names: list[str], vectors: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float64]]:
    """name -> (2,) place: the first two principal components of (N, D) vectors, the same for the same input."""
    places = PCA(n_components=2, svd_solver="full").fit_transform(np.asarray(vectors, dtype=np.float64))
    return dict(zip(names, places, strict=True))


def _store(dataset: Any, places: dict[str, npt.NDArray[np.float64]]) -> None:
    from fiftyone import brain  # noqa: PLC0415  (seconds)

    if dataset.has_brain_run(PLOT):
        dataset.delete_brain_run(PLOT)
    brain.compute_visualization(dataset.select(list(places)), points=places, brain_key=PLOT, method="manual")


def _save_workspace(fiftyone: Any, dataset: Any) -> None:
    grid = fiftyone.Panel(type="Samples", pinned=True)
    plot = fiftyone.Panel(type="Embeddings", state={"brainResult": PLOT, "colorByField": "uncertainty"})
    counts = fiftyone.Panel(type="Histograms", state={"plot": "iou"})
    space = fiftyone.Space(
        orientation="horizontal",
        children=[fiftyone.Space(children=[grid]), fiftyone.Space(children=[plot, counts])],
    )
    dataset.save_workspace(WORKSPACE, space, description="Images, and where they lie among the others")


def _with_embedding(catalog: pd.DataFrame, embeddings: Path) -> list[dict[Any, Any]]:
    present = {path.stem for path in embeddings.glob("*.npy")}
    return [row for row in catalog.to_dict("records") if row["image_id"] in present]


def _vector(embeddings: Path, row: dict[Any, Any]) -> npt.NDArray[np.float32]:
    stored = np.load(embeddings / f"{row['image_id']}.npy", allow_pickle=False)
    return image_vector(stored, int(row["height"]), int(row["width"]))


def _digest(rows: list[dict[Any, Any]], embeddings: Path) -> str:
    stats = [(row["image_id"], (embeddings / f"{row['image_id']}.npy").stat().st_size) for row in rows]
    return hashlib.sha256(repr(stats).encode()).hexdigest()[:12]
