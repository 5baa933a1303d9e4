"""Which predicted objects are right and which are missed, told by FiftyOne's own evaluation of detections."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from datalab.adapters.review_app import EVALUATION, JUDGED, PREDICTED, TRUTH

LEAST_IOU = 0.5
"""Of two masks of one class; with less they are not the same object."""
DONE = "evaluated"
"""In the dataset's info: with which IoU. It goes before a label is replaced, so that a kill cannot leave old marks."""
ATTRIBUTES = (EVALUATION, f"{EVALUATION}_id", f"{EVALUATION}_iou")
BATCH = 100
"""Images per request to the database."""

Digests = Mapping[str, str]
"""image_id -> digest of its labels."""


def begin_evaluation(dataset: Any, truth: Digests, predicted: Digests) -> bool:
    """Whether there is something to do: other labels than these are about to be replaced, or were never evaluated."""
    rows = list(zip(*dataset.values(["image_id", f"{TRUTH}.digest", f"{PREDICTED}.digest"]), strict=True))
    is_same = all((truth.get(one), predicted.get(one)) == (old, older) for one, old, older in rows)
    is_same = is_same and set(predicted) <= {one for one, *_ in rows}
    if is_same and dataset.info.get(DONE) == LEAST_IOU and dataset.has_evaluation(EVALUATION) == bool(predicted):
        return False
    dataset.info = {key: value for key, value in dataset.info.items() if key != DONE}
    dataset.save()
    return True


def evaluate(dataset: Any) -> None:
    """Match predicted objects, largest first, with the consensus of the same class; an older evaluation goes.

    Images get `eval_tp`, `eval_fp` and `eval_fn`, counts; objects `eval`, "tp", "fp" or "fn", `eval_id` and `eval_iou`.
    """
    if dataset.has_evaluation(EVALUATION):
        dataset.delete_evaluation(EVALUATION)
    both = dataset.exists(TRUTH).exists(PREDICTED)
    if len(both):
        _evaluate(dataset, both)
    dataset.info = {**dataset.info, DONE: LEAST_IOU}
    dataset.save()


def _evaluate(dataset: Any, both: Any) -> None:
    """What `evaluate_detections` does, but written in batches: sample by sample takes three times as long."""
    from fiftyone.utils.eval.coco import COCOEvaluationConfig  # noqa: PLC0415  (seconds)

    method = COCOEvaluationConfig(PREDICTED, TRUTH, iou=LEAST_IOU, classwise=True, use_masks=True).build()
    method.register_run(both, EVALUATION)
    method.register_samples(both, EVALUATION)
    matches: list[Any] = []
    written: dict[str, dict[str, Any]] = defaultdict(dict)
    for sample in both.select_fields([TRUTH, PREDICTED]).iter_samples(progress=False):
        matches += method.evaluate(sample, eval_key=EVALUATION)
        for field, value in _marks(sample):
            written[field][sample.id] = value
        if len(written[JUDGED[0]]) == BATCH:
            _write(dataset, written)
    _write(dataset, written)
    method.save_run_results(both, EVALUATION, method.generate_results(both, matches, eval_key=EVALUATION))


def _marks(sample: Any) -> Iterator[tuple[str, Any]]:
    """Field -> value of one image; of objects a list, one value for each."""
    marks = {field: [label[EVALUATION] for label in sample[field].detections] for field in (TRUTH, PREDICTED)}
    for field in marks:
        for attribute in ATTRIBUTES:
            yield f"{field}.detections.{attribute}", [label[attribute] for label in sample[field].detections]
    counts = marks[PREDICTED].count("tp"), marks[PREDICTED].count("fp"), marks[TRUTH].count("fn")
    yield from zip(JUDGED, counts, strict=True)


def _write(dataset: Any, written: dict[str, dict[str, Any]]) -> None:
    for field, values in written.items():
        dataset.set_values(field, values, key_field="id", progress=False)
    written.clear()
