"""Plugin of the FiftyOne app: a reviewer says what is to be done about images or objects.

The app's server loads this file by its path and calls `register`; nothing of datalab imports it.
"""

import getpass
from itertools import groupby
from pathlib import Path
from typing import Any

from fiftyone import operators
from fiftyone.operators import types

from datalab.adapters.review_journal import WAITS, Saying, append, held
from datalab.adapters.review_tags import clear_tags, find_tags, picked_subjects
from datalab.errors import InputError
from datalab.tables import VERDICTS

LABEL = "Review: what shall be done?"


class Review(operators.Operator):  # type: ignore[misc]  # FiftyOne has no types
    """The form beside the grid, for the picked samples."""

    NAME = "review"
    PLACE = types.Places.SAMPLES_GRID_SECONDARY_ACTIONS

    @property
    def config(self) -> Any:
        """Its name and that the form follows what is picked."""
        return operators.OperatorConfig(name=self.NAME, label=LABEL, dynamic=True, icon="rate_review")

    def resolve_placement(self, ctx: Any) -> Any:
        """A button."""
        return types.Placement(self.PLACE, types.Button(label=LABEL, icon="rate_review", prompt=True))

    def resolve_input(self, ctx: Any) -> Any:
        """The form."""
        inputs = types.Object()
        samples, labels = picked(ctx)
        if not samples:
            notice = inputs.view("none", types.Warning(label="Pick images or objects first"))
            notice.invalid = True
            return types.Property(inputs, view=types.View(label=LABEL))
        about = f"{len(labels)} object(s) in {len(samples)} image(s)" if labels else f"{len(samples)} image(s)"
        inputs.view("about", types.Notice(label=about))
        choices = types.RadioGroup(orientation="vertical")
        for verdict in VERDICTS:
            choices.add_choice(verdict, label=verdict)
        inputs.enum("verdict", choices.values(), view=choices, label="Verdict", required=True)
        inputs.str("comment", label="Comment", description="Annotators read it", required=False)
        inputs.str("reviewer", label="Reviewer", default=user_name(), required=True)
        return types.Property(inputs, view=types.View(label=LABEL))

    def execute(self, ctx: Any) -> dict[str, Any]:
        """Write it into the workspace's journal, then show it."""
        samples, labels = picked(ctx)
        params = ctx.params
        saying = Saying(params["verdict"], (params.get("comment") or "").strip(), params["reviewer"].strip())
        subjects = picked_subjects(ctx.dataset, samples, labels)
        if not subjects:
            raise InputError("pick images or objects first")
        journal = ctx.dataset.info.get("review_journal")
        if journal is None:
            raise InputError("this dataset was published by an older datalab; publish it again: datalab review")
        with held(Path(journal)):
            tags = find_tags(ctx.dataset.select(samples))
            # said before this; collected later, they would look like the last word
            for verdict, tagged in groupby(tags, key=lambda tag: tag.verdict):
                append(Path(journal), Saying(verdict, "", ""), [tag.subject for tag in tagged], source="tag")
            written = append(Path(journal), saying, subjects)
            clear_tags(ctx.dataset, tags)
        show(ctx.dataset, samples, saying)
        ctx.ops.reload_samples()
        ctx.ops.notify(f"{saying.verdict}: {len(written)} noted", variant="success")
        return {"review_ids": written}


class ReviewInSample(Review):
    """The same within an opened sample."""

    NAME = "review_in_sample"
    PLACE = types.Places.SAMPLES_VIEWER_ACTIONS


def picked(ctx: Any) -> tuple[list[str], list[str]]:
    """Sample ids and label ids that a verdict is about; in a view of patches a patch is an object."""
    labels = [one["label_id"] for one in ctx.selected_labels or []]
    samples = [one["sample_id"] for one in ctx.selected_labels or []]
    chosen = list(ctx.selected or ([ctx.current_sample] if ctx.current_sample and not labels else []))
    if chosen and ctx.view.has_field("sample_id"):
        labels += chosen
        chosen = list(ctx.view.select(chosen).values("sample_id"))
    return list(dict.fromkeys([*samples, *chosen])), labels


def user_name() -> str:
    """Of whoever started the app; "" where the system has no name for them, as for a number in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def show(dataset: Any, samples: list[str], saying: Saying) -> None:
    """Until the workspace is published again, which writes the same fields."""
    said = {
        "review": saying.verdict,
        "review_comment": saying.comment,
        "reviewer": saying.reviewer,
        "review_outcome": WAITS,
    }
    for field, value in said.items():
        dataset.set_values(field, dict.fromkeys(samples, value), key_field="id", progress=False)


def register(plugin: Any) -> None:
    """Called by the app."""
    plugin.register(Review)
    plugin.register(ReviewInSample)
