"""The embedding plot and the workspace of the review app: images that look alike lie close, beside the grid."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA

from datalab.adapters.review_app import WORKSPACE
from datalab.adapters.review_vectors import ImageVectors

PLOT = "sam_embeddings"
DESCRIPTION = "Images, where they lie among the others, and how many have which value"
WITHOUT_PLOT = "Images, and how many have which value"
"""By these a workspace of an older datalab is told."""
FEWEST = 3
"""Images; two points lie on a line whatever they are."""


def save_plot(fiftyone: Any, dataset: Any, vectors: ImageVectors) -> None:
    """Lay the images out by their SAM embeddings, and save a workspace with it; without a plot where there are too few.

    Done anew only where images or embeddings have changed.
    """
    has_plot = len(vectors.rows) >= FEWEST
    digest = vectors.digest() if has_plot else None
    if has_plot and (dataset.info.get("plot") != digest or not dataset.has_brain_run(PLOT)):
        sample_ids = dict(zip(*dataset.values(["image_id", "id"]), strict=True))
        places = plane([sample_ids[image_id] for image_id in vectors.image_ids], vectors.stacked)
        _store(dataset, places)
        dataset.info = {**dataset.info, "plot": digest}
        dataset.save()
    description = DESCRIPTION if has_plot else WITHOUT_PLOT
    if not dataset.has_workspace(WORKSPACE) or dataset.get_workspace_info(WORKSPACE)["description"] != description:
        _save_workspace(fiftyone, dataset, has_plot, description)


def plane(names: list[str], vectors: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float64]]:
    """name -> (2,) place: the first two principal components of (N, D) vectors, the same for the same input."""
    places = PCA(n_components=2, svd_solver="full").fit_transform(np.asarray(vectors, dtype=np.float64))
    return dict(zip(names, places, strict=True))


def _store(dataset: Any, places: dict[str, npt.NDArray[np.float64]]) -> None:
    from fiftyone import brain  # noqa: PLC0415  (seconds)

    if dataset.has_brain_run(PLOT):
        dataset.delete_brain_run(PLOT)
    brain.compute_visualization(dataset.select(list(places)), points=places, brain_key=PLOT, method="manual")


def _save_workspace(fiftyone: Any, dataset: Any, has_plot: bool, description: str) -> None:
    """The names of a panel's state are those of FiftyOne's app; nothing else tells them."""
    grid = fiftyone.Panel(type="Samples", pinned=True)
    plot = fiftyone.Panel(type="Embeddings")
    counts = fiftyone.Panel(type="Histograms", state={"path": "iou"})
    # a panel that is not its space's active child is not shown
    left, above, below = (fiftyone.Space(children=[one], active_child=one.component_id) for one in (grid, plot, counts))
    right = fiftyone.Space(orientation="vertical", children=[above, below]) if has_plot else below
    # wide enough for the reviewer's button above the images
    space = fiftyone.Space(orientation="horizontal", children=[left, right], sizes=[0.7, 0.3])
    dataset.save_workspace(WORKSPACE, space, description=description, overwrite=True)
