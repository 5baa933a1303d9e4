"""Which predicted objects are right and which are missed, told by FiftyOne's own evaluation of detections."""

from collections.abc import Mapping
from typing import Any

from datalab.adapters.review_app import EVALUATION, PREDICTED, TRUTH

LEAST_IOU = 0.5
"""Of two masks of one class; with less they are not the same object."""
DONE = "evaluated"
"""In the dataset's info: with which IoU. It goes before a label is replaced, so that a kill cannot leave old marks."""

Digests = Mapping[str, str]
"""image_id -> digest of its labels."""


def begin_evaluation(dataset: Any, truth: Digests, predicted: Digests) -> bool:
    """Whether there is something to do: other labels than these are about to be replaced, or were never evaluated."""
    rows = zip(*dataset.values(["image_id", f"{TRUTH}.digest", f"{PREDICTED}.digest"]), strict=True)
    is_same = all((truth.get(one), predicted.get(one)) == (old, older) for one, old, older in rows)
    if is_same and dataset.info.get(DONE) == LEAST_IOU and dataset.has_evaluation(EVALUATION) == bool(predicted):
        return False
    dataset.info = {key: value for key, value in dataset.info.items() if key != DONE}
    dataset.save()
    return True


def evaluate(dataset: Any) -> None:
    """Match predicted objects, largest first, with the consensus of the same class; an older evaluation goes.

    Images get `eval_tp`, `eval_fp` and `eval_fn`, counts; objects `eval`, "tp", "fp" or "fn", and `eval_iou`.
    """
    if dataset.has_evaluation(EVALUATION):
        dataset.delete_evaluation(EVALUATION)
    both = dataset.exists(TRUTH).exists(PREDICTED)
    if len(both):
        both.evaluate_detections(
            PREDICTED, gt_field=TRUTH, eval_key=EVALUATION, iou=LEAST_IOU, use_masks=True, progress=False
        )
    dataset.info = {**dataset.info, DONE: LEAST_IOU}
    dataset.save()
