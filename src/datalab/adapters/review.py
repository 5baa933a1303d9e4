"""The review: images, masks, people's regions and figures of a workspace as a FiftyOne dataset.

Publishing again brings the dataset up to date in place; published halfway and again, it is the same as published once.
What reviewers add themselves, tags, fields and saved views, is left as it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from tqdm import tqdm

from datalab.adapters.review_app import NOVELTY, PREDICTED, TRUTH, declare_fields, dress, review_path
from datalab.adapters.review_connection import opened
from datalab.adapters.review_content import Content, OnProgress, read_content
from datalab.adapters.review_documents import Forms, forms_of
from datalab.adapters.review_evaluation import begin_evaluation, evaluate
from datalab.adapters.review_figures import is_own_tag
from datalab.adapters.review_inputs import ReviewInputs
from datalab.adapters.review_novelty import keep_digest, novelty_marks
from datalab.adapters.review_plot import save_plot
from datalab.adapters.review_vectors import image_vectors
from datalab.adapters.review_views import save_views
from datalab.errors import InputError

BATCH = 100
"""Images per request to the database: a kill loses little, and their masks fit into memory."""
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
        content = read_content(inputs, tell)
        declare_fields(fiftyone, dataset, content.kinds)
        sample_ids = _match_samples(fiftyone, dataset, content, tell)
        is_due = begin_evaluation(dataset, content.marks.get(TRUTH, {}), content.marks[PREDICTED])
        vectors = image_vectors(inputs)
        marks, digest = novelty_marks(dataset, inputs, vectors)
        content = replace(content, marks={**content.marks, NOVELTY: marks})
        _fill(forms_of(fiftyone), dataset, content, sample_ids, tell)
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


def _match_samples(fiftyone: Any, dataset: Any, content: Content, tell: OnProgress) -> dict[str, str]:
    """Add missing images, delete others and doubles; returns image_id -> sample id, in the catalog's order."""
    present: dict[str, str] = {}
    doubles = []
    for image_id, sample_id in zip(*dataset.values(["image_id", "id"]), strict=True):
        if image_id in content.sizes and image_id not in present:
            present[image_id] = sample_id
        else:
            doubles.append(sample_id)
    if doubles:
        dataset.delete_samples(doubles)
    missing = [image_id for image_id in content.sizes if image_id not in present]
    for start in range(0, len(missing), BATCH):
        tell(0.3 + 0.2 * start / len(missing), "adding images")
        chunk = missing[start : start + BATCH]
        samples = [_sample(fiftyone, content, image_id) for image_id in chunk]
        present.update(zip(chunk, dataset.add_samples(samples, dynamic=False, progress=False), strict=True))
    return {image_id: present[image_id] for image_id in content.sizes}


def _sample(fiftyone: Any, content: Content, image_id: str) -> Any:
    width, height = content.sizes[image_id]
    metadata = fiftyone.ImageMetadata(width=width, height=height)
    return fiftyone.Sample(content.marks["filepath"][image_id], image_id=image_id, metadata=metadata)


def _fill(forms: Forms, dataset: Any, content: Content, sample_ids: dict[str, str], tell: OnProgress) -> None:
    """Write what has changed, in batches; what an image no longer has becomes None."""
    image_ids = list(sample_ids)
    tags = _present(dataset, "tags")
    marks = {field: _present(dataset, content.mark_path(field)) for field in content.marks}
    for start in range(0, len(image_ids), BATCH):
        tell(0.5 + 0.4 * start / len(image_ids), "publishing")
        chunk = {sample_ids[image_id]: image_id for image_id in image_ids[start : start + BATCH]}
        for field, present in marks.items():
            wanted = content.marks[field]
            changed = {key: image for key, image in chunk.items() if wanted.get(image) != present[key]}
            _set(dataset, field, {key: content.value(forms, field, image) for key, image in changed.items()})
        merged = {key: _merged(tags[key], content.tags[image]) for key, image in chunk.items()}
        _set(dataset, "tags", {key: value for key, value in merged.items() if value != tags[key]})


def _present(dataset: Any, path: str) -> dict[str, Any]:
    """Sample id -> what the dataset holds now."""
    return dict(zip(*dataset.values(["id", path]), strict=True))


def _set(dataset: Any, field: str, values: dict[str, Any]) -> None:
    """The fields are declared, and labels come as documents: FiftyOne is neither to look for new ones nor to check."""
    if values:
        dataset.set_values(
            field, values, key_field="id", expand_schema=False, dynamic=False, validate=False, progress=False
        )


def _merged(old: list[str], ours: set[str]) -> list[str]:
    """Our tags, and those that people have given."""
    return [*sorted(ours), *(tag for tag in old if not is_own_tag(tag))]


@contextmanager
def _bar(on_progress: OnProgress | None) -> Iterator[OnProgress]:
    """The given one, or a bar in the terminal."""
    if on_progress is not None:
        yield on_progress
        return
    with tqdm(total=100, desc="review", bar_format="{desc}{percentage:3.0f}%|{bar}| {elapsed}") as bar:

        def show(share: float, doing: str) -> None:
            bar.set_description(doing, refresh=False)
            bar.update(int(100 * share) - bar.n)

        yield show
        show(1.0, "published")
