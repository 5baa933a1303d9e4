"""Which predicted objects are right and which are missed, told by FiftyOne's own evaluation of detections."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from datalab.adapters.review_app import CHAMPION_OBJECTS, DUEL, EVALUATION, PREDICTED, TRUTH
from datalab.adapters.review_comparison import LEAST_IOU, LEAST_SHARE

DONE = "evaluated"
"""In the dataset's info: how. It goes before a label is replaced, so that a kill cannot leave old marks."""
HOW = [LEAST_IOU, LEAST_SHARE, *DUEL]
FIELDS = (TRUTH, PREDICTED, CHAMPION_OBJECTS)
OBJECTS = slice(4, 6)
"""Of a match as FiftyOne has it: the ids of the consensus's object and the predicted one, None for what is missing."""
BATCH = 100
"""Images per request to the database."""

Marks = Mapping[str, Mapping[str, Any]]
"""Field -> image_id -> digest of its labels."""


def begin_evaluation(dataset: Any, marks: Marks) -> bool:
    """Whether there is something to do: other labels than these are about to be replaced, or were never evaluated."""
    image_ids, *held = dataset.values(["image_id", *(f"{field}.digest" for field in FIELDS)])
    is_same = all(
        [marks[field].get(image_id) for image_id in image_ids] == digests
        for field, digests in zip(FIELDS, held, strict=True)
    )
    is_same = is_same and set(marks[PREDICTED]) <= set(image_ids)
    is_there = [dataset.has_evaluation(key) for key in (EVALUATION, *DUEL)]
    wanted = [bool(marks[PREDICTED]), *[bool(marks[CHAMPION_OBJECTS])] * 2]
    if is_same and dataset.info.get(DONE) == HOW and is_there == wanted:
        return False
    dataset.info = {key: value for key, value in dataset.info.items() if key != DONE}
    dataset.save()
    return True


def evaluate(dataset: Any) -> None:
    """Match predicted objects, largest first, with the consensus of the same class; older evaluations go.

    Images get `eval_tp`, `eval_fp` and `eval_fn`, counts; objects `eval`, "tp", "fp" or "fn", `eval_id` and `eval_iou`.
    A speck without a partner has no mark and is in no count.
    Where there is a champion, the same is done under the keys of DUEL on the images that it was asked about.
    """
    both = dataset.exists(TRUTH).exists(PREDICTED)
    asked = both.exists(CHAMPION_OBJECTS)
    views = ((EVALUATION, both, PREDICTED), (DUEL[0], asked, PREDICTED), (DUEL[1], asked, CHAMPION_OBJECTS))
    for key, view, field in views:
        if dataset.has_evaluation(key):
            dataset.delete_evaluation(key)
        if len(view):
            _evaluate(dataset, view, field, key)
    dataset.info = {**dataset.info, DONE: HOW}
    dataset.save()


def _evaluate(dataset: Any, view: Any, field: str, key: str) -> None:
    """What `evaluate_detections` does, but specks count where they have a partner only, and it is written in batches:
    sample by sample takes three times as long."""
    from fiftyone.utils.eval.coco import COCOEvaluationConfig  # noqa: PLC0415  (seconds)

    method = COCOEvaluationConfig(field, TRUTH, iou=LEAST_IOU, classwise=True, use_masks=True).build()
    method.register_run(view, key)
    method.register_samples(view, key)
    matches: list[Any] = []
    written: dict[str, dict[str, Any]] = defaultdict(dict)
    for done, sample in enumerate(view.select_fields([TRUTH, field]).iter_samples(progress=False), start=1):
        truth, predicted = sample[TRUTH].detections, sample[field].detections
        found = method.evaluate(sample, eval_key=key)
        size = sample.metadata.width * sample.metadata.height
        specks = {one.id for one in unmark_specks([*truth, *predicted], size, key)}
        matches += [match for match in found if specks.isdisjoint(match[OBJECTS])]
        for path, value in _marks(truth, predicted, field, key):
            written[path][sample.id] = value
        if done % BATCH == 0:
            _write(dataset, written)
    _write(dataset, written)
    method.save_run_results(view, key, method.generate_results(view, matches, eval_key=key))


def unmark_specks(objects: Iterable[Any], size: int, key: str) -> list[Any]:
    """Take the mark from evaluated objects of an image of `size` pixels that are specks and have no partner; returns
    those: who draws one is not wrong, and who does not misses nothing."""
    least = LEAST_SHARE * size
    specks = [one for one in objects if one[key] != "tp" and np.count_nonzero(one.mask) < least]
    for one in specks:
        one[key] = None
    return specks


def _marks(truth: Sequence[Any], predicted: Sequence[Any], field: str, key: str) -> Iterator[tuple[str, Any]]:
    """Path -> value of one image; of objects a list, one value for each."""
    for name, labels in ((TRUTH, truth), (field, predicted)):
        for attribute in (key, f"{key}_id", f"{key}_iou"):
            yield f"{name}.detections.{attribute}", [label[attribute] for label in labels]
    found = [label[key] for label in predicted]
    yield f"{key}_tp", found.count("tp")
    yield f"{key}_fp", found.count("fp")
    yield f"{key}_fn", [label[key] for label in truth].count("fn")


def _write(dataset: Any, written: dict[str, dict[str, Any]]) -> None:
    for field, values in written.items():
        dataset.set_values(field, values, key_field="id", progress=False)
    written.clear()
