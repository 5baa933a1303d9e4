"""The embedding plot and the workspace of the review app: images that look alike lie close, beside the grid."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA

from datalab.adapters.review_vectors import ImageVectors

PLOT = "sam_embeddings"
WORKSPACE = "review"
FEWEST = 3
"""Images; two points lie on a line whatever they are."""


def save_plot(fiftyone: Any, dataset: Any, vectors: ImageVectors) -> bool:
    """Lay the images out by their SAM embeddings, and save a workspace with it; False where there are too few.

    Done anew only where images or embeddings have changed.
    """
    if len(vectors.rows) < FEWEST:
        return False
    digest = vectors.digest()
    if dataset.info.get("plot") != digest or not dataset.has_brain_run(PLOT):
        sample_ids = dict(zip(*dataset.values(["image_id", "id"]), strict=True))
        places = plane([sample_ids[image_id] for image_id in vectors.image_ids], vectors.stacked)
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
