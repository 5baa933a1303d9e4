"""The review: images, masks, people's regions and figures of a workspace as a FiftyOne dataset.

Publishing again brings the dataset up to date in place; published halfway and again, it is the same as published once.
What reviewers add themselves, tags, fields and saved views, is left as it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from tqdm import tqdm

from datalab.adapters.review_app import NOVELTY, declare_fields, dress, known_annotators, review_path
from datalab.adapters.review_connection import opened
from datalab.adapters.review_content import OnProgress, read_content
from datalab.adapters.review_documents import forms_of
from datalab.adapters.review_evaluation import begin_evaluation, evaluate
from datalab.adapters.review_inputs import ReviewInputs
from datalab.adapters.review_novelty import keep_digest, novelty_marks
from datalab.adapters.review_plot import save_plot
from datalab.adapters.review_samples import known_comparisons, match_samples, update_samples
from datalab.adapters.review_vectors import image_vectors
from datalab.adapters.review_views import save_views
from datalab.errors import InputError

MADE_BY = "datalab"


@dataclass(frozen=True)
class ReviewReport:
    """What has been published. `path` follows the app's address; `views` are the saved views that show images."""

    path: str
    samples: int
    views: tuple[str, ...]


def publish(uri: str, name: str, inputs: ReviewInputs, on_progress: OnProgress | None = None) -> ReviewReport:
    """Bring the persistent dataset `name` in the MongoDB at `uri` to what `inputs` say.

    Args:
        uri: `settings.fiftyone_database_uri`.
        name: The workspace's name.
        inputs: See `review_inputs.read_inputs`.
        on_progress: Told how far it is; without it there are progress bars in the terminal.

    Returns:
        Where the app shows it, how many images it holds, and which saved views show any of them.

    Raises:
        ServiceError: The database does not answer.
        InputError: Another dataset has this name, or a label map does not fit.
    """
    with opened(uri) as fiftyone, _bar(on_progress) as tell:
        dataset = _dataset(fiftyone, name)
        if inputs.journal is not None:
            dataset.info = {**dataset.info, "review_journal": str(inputs.journal.absolute())}
        content = read_content(inputs, tell, known_comparisons(dataset), known_annotators(dataset))
        declare_fields(fiftyone, dataset, content.kinds)
        is_due = begin_evaluation(dataset, content.marks)
        vectors = image_vectors(inputs)
        marks, digest = novelty_marks(dataset, inputs, vectors)
        content = replace(content, marks={**content.marks, NOVELTY: marks})
        sample_ids = match_samples(fiftyone, dataset, content, tell)
        update_samples(forms_of(fiftyone), dataset, content, sample_ids, tell)
        keep_digest(dataset, digest)
        if is_due:
            tell(0.9, "judging objects")
            evaluate(dataset)
        dress(fiftyone, dataset, content.kinds, inputs.guidelines)
        save_plot(fiftyone, dataset, vectors)
        return ReviewReport(review_path(name), len(sample_ids), save_views(fiftyone, dataset))


def _dataset(fiftyone: Any, name: str) -> Any:
    """The dataset as it is, or a new one; one that somebody else made is not touched."""
    if not fiftyone.dataset_exists(name):
        try:
            dataset = fiftyone.Dataset(name, persistent=True)
        except ValueError as exc:
            raise InputError(f"FiftyOne takes no dataset {name!r}: {exc}; rename the workspace's folder") from exc
        dataset.info = {"made_by": MADE_BY}
        dataset.save()
        return dataset
    dataset = fiftyone.load_dataset(name)
    # another process may have changed it since this one saw it
    dataset.reload()
    # an empty one may be ours, killed before it was marked
    if dataset.info.get("made_by") != MADE_BY and len(dataset) > 0:
        raise InputError(f"FiftyOne has a dataset {name!r} that datalab did not make; rename one of the two")
    dataset.persistent = True
    dataset.info = {**dataset.info, "made_by": MADE_BY}
    dataset.save()
    return dataset


@contextmanager
def _bar(on_progress: OnProgress | None) -> Iterator[OnProgress]:
    """The given one, or a bar in the terminal."""
    if on_progress is not None:
        yield on_progress
        return
    with tqdm(total=100, desc="review", bar_format="{desc}{percentage:3.0f}%|{bar}| {elapsed}", disable=None) as bar:

        def show(share: float, doing: str) -> None:
            bar.set_description(doing, refresh=False)
            bar.update(int(100 * share) - bar.n)

        yield show
        show(1.0, "published")
