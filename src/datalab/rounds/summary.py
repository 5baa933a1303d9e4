"""The summary of a round for people: rows of (figure, value), and a table for the terminal."""

from collections.abc import Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

from datalab.figure import UNLEARNED
from datalab.rounds.state import STEPS

Report = dict[str, Any]
ARMS = {
    "seconds_per_object": "seconds per object",
    "seconds_per_answer": "seconds per answer",
    "gold_f1": "gold F1",
    "gold_iou": "gold IoU",
}
"""What is given with and without proposals."""


def summary_rows(report: Report) -> list[dict[str, str]]:
    """One row per figure, in the order in which they came about."""
    return [{"figure": figure, "value": value} for figure, value in _rows(report)]


def summary_table(report: Report) -> Table:
    """The same as a rich table."""
    title = Text(f"Round {report['round']} of {report['workspace']}", style="table.title")
    table = Table(title=title, title_justify="left")
    table.add_column("figure", style="bold")
    table.add_column("value", overflow="fold")
    for figure, value in _rows(report):
        table.add_row(Text(figure), Text(value))  # a class may be called "car [red]" or ":car:"
    return table


def _rows(report: Report) -> Iterator[tuple[str, str]]:
    images = report["images"]
    yield "images", f"{images['total']} ({images['added']} new in this round)"
    yield "duplicates", f"{images['exact_duplicates']} exact (left out), {images['near_duplicates']} near (grouped)"
    yield "quarantined", str(images["quarantined"])
    yield "batch", ", ".join(f"{count} {role}" for role, count in sorted(report["batch"].items()))
    yield "proposals", f"{report['proposals']} by {report['sam']}"
    if report["proposal_gate"] is not None:
        yield "proposals: gate", _gate(report["proposal_gate"])
    yield "annotations", f"{report['annotations']} by {len(report['annotators'])} annotators"
    yield from _set_aside(report)
    yield "regions", ", ".join(f"{count} {origin}" for origin, count in sorted(report["regions"].items()))
    yield from _benefit(report["proposal_benefit"])
    if "double_labelled_groups" in report:  # reports of earlier versions do not know
        yield "images labelled by two people or more", _in_groups(report, "double_labelled")
    yield from _figures("agreement", report["agreement"])
    yield "agreement: people and the model, unseen images", interval(report["agreement_with_model"])
    verdict = report["agreement_verdict"]
    yield "agreement: verdict", verdict["value"] or f"none: {verdict['reason']}"
    for annotator, score in report["gold"].items():
        yield f"gold: {annotator}", f"F1 {interval(score['f1'])}, IoU {interval(score['mean_iou'])}"
        yield from _advice(annotator, score)
    for name, figure in report["evaluation"].items():
        yield f"held-out {name}", interval(figure)
    yield from _unlearned(report["evaluation"])
    yield "held-out images", f"{_in_groups(report, 'test')}{_leaks(report.get('leaks'))}"
    for sentence in report.get("training_warnings", []):
        yield "training", sentence
    yield from _comparison(report.get("comparison"))
    for sentence in report["worse_slices"]:
        yield "worse than elsewhere", sentence
    yield from _proof(report.get("proof"))
    yield "for a reviewer", f"{report['to_adjudicate']} images (datalab adjudicate push)"
    yield "next batch", f"{report['next_batch']} images"
    yield from _made_of(report)
    yield "seconds", _seconds(report["seconds"])
    yield from report["addresses"].items()


def _unlearned(figures: dict[str, Report]) -> Iterator[tuple[str, str]]:
    """The classes of which the model has seen nothing: one that is missing in training looks like one it fails at."""
    told = [name.removeprefix("iou ") for name, one in figures.items() if UNLEARNED in (one.get("reason") or "")]
    if told:
        yield "held-out: never learned", f"{', '.join(told)}: {UNLEARNED}, and miou counts it"


def _figures(about: str, figures: dict[str, Report]) -> Iterator[tuple[str, str]]:
    """Those with a value, then for each reason those without: where one person labels that is nearly all of them."""
    for name, figure in figures.items():
        if figure["value"] is not None:
            yield f"{about}: {name}", interval(figure)
    reasons: dict[str, list[str]] = {}
    for name, figure in figures.items():
        if figure["value"] is None:
            reasons.setdefault(figure["reason"], []).append(name)
    for reason, names in reasons.items():
        yield f"{about}: not known", f"{', '.join(names)}: {reason}"


def _made_of(report: Report) -> Iterator[tuple[str, str]]:
    """Which labels made the model, and how that is kept; reports of earlier versions do not say."""
    if (found := report.get("made_of")) is None:
        return
    yield "model", f"{found['model'][:12]}, of dataset {found['dataset'][:12]} with {found['images']} images"
    for name, what in (("rounds", "of round"), ("annotators", "by"), ("guidelines", "by guidelines")):
        counts = ", ".join(f"{key}: {count}" for key, count in sorted(found[name].items()))
        yield f"model: images labelled {what}", counts
    yield "keep it", f'git add -A && git commit -m "Round {report["round"]}"'


def _comparison(found: Report | None) -> Iterator[tuple[str, str]]:
    """The model of this round against the one before; a report from before that was asked has nothing."""
    if found is None:
        return
    if found["reason"]:
        yield "model against the one before", f"not compared: {found['reason']}"
        return
    counts = f"better on {found['better']} of {found['test_images']} test images, worse on {found['worse']}"
    left_out = found.get("left_out")
    known = f"; {left_out} left out, which the one before had learned from" if left_out else ""
    yield "model against the one before: mIoU", f"{interval(found['difference'])}, {counts}{known}"


def _proof(proof: Report | None) -> Iterator[tuple[str, str]]:
    """Whether the next batch and the choice pay; a report from before that was asked has neither."""
    if proof is not None:
        yield "next batch: worth it", f"{proof['verdict']['value']}: {proof['verdict']['reason']}"
        yield "choice against chance", proof["control"]["all"]["says"]


def _set_aside(report: Report) -> Iterator[tuple[str, str]]:
    """Answers that were kept and not used; a report from before there was a quarantine has none."""
    counts = report.get("quarantined_answers") or {}
    found = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
    folder = f"data/rounds/{report['round']:04d}"
    yield "annotations: set aside", f"{found} (see {folder}/quarantine.parquet)" if found else "none"
    if corrected := report.get("corrected_answers"):
        rounds = ", ".join(f"{count} of round {name}" for name, count in sorted(corrected.items()))
        yield "annotations: changed since their round", rounds


def _in_groups(report: Report, which: str) -> str:
    """How many images, in how many groups where they hang together: intervals go by those. Older reports do not say."""
    images = report[f"{which}_images"]
    groups = report.get(f"{which}_groups", images)
    return f"{images} in {groups} groups" if groups < images else f"{images}"


def _leaks(found: dict[str, Any] | None) -> str:
    """Reports of earlier versions know of no leaks."""
    if found is None or not found["leaks"]:
        return ""
    return f"; {found['leaks']} of {found['judged']} held out look like learned ones: reports/plots/leaks.png"


def _gate(facts: Report) -> str:
    """What was left out, and how wrong that was on gold images the gate had not seen."""
    if facts["reason"]:
        return f"none: {facts['reason']}"
    shown = ", ".join(f"{count} {source}" for source, count in sorted(facts["shown_by_source"].items())) or "none"
    errors = "; ".join(f"{source} {_gate_error(one)}" for source, one in sorted(facts["sources"].items()))
    return f"{shown} shown, {facts['left_out']} left out; gold: {errors}"


def _gate_error(source: Report) -> str:
    if source["reason"]:
        return f"not calibrated ({source['reason']})"
    error = source["error"]
    worth = error["reason"] or f"shown IoU {error['shown_mean_iou']:.2f}, {error['shown_bad_share']:.0%} below one half"
    if error.get("accepted"):  # reports of earlier versions do not say
        bad = interval(error["accepted_bad_share"])
        worth += f"; of {error['accepted']} that reach accept_at {bad} are below one half or of another class"
    return f"off by {error['mean_absolute_error']:.2f}, {worth}"


def _benefit(found: Report) -> Iterator[tuple[str, str]]:
    """What proposals were worth in this round; the warning is of all rounds, since one has few tasks without."""
    if found["round"] is not None:
        for key, name in ARMS.items():
            arms = found["round"][key]
            yield f"proposals: {name}", f"with {interval(arms['with'])}, without {interval(arms['without'])}"
        edits = found["round"]["edits"].items()
        yield "proposals: edits", ", ".join(f"{name.replace('_', ' ')} {interval(figure)}" for name, figure in edits)
        yield "proposals: time ratio", interval(found["round"]["seconds_per_object"]["ratio"])
    yield "proposals: time ratio, all rounds", interval(found["all"]["seconds_per_object"]["ratio"])
    if found["all"]["warning"]:
        yield "warning", found["all"]["warning"]


def _advice(annotator: str, score: Report) -> Iterator[tuple[str, str]]:
    """What to do about somebody and to tell them, where there is something."""
    if score["action"]["value"] != "none":
        yield f"action: {annotator}", f"{score['action']['value']}: {score['action']['reason']}"
    if score["advice"]:
        yield f"advice: {annotator}", "; ".join(score["advice"])


def _seconds(seconds: dict[str, float]) -> str:
    parts = [f"{step} {seconds[step]:.0f}" for step in STEPS if step in seconds]
    return f"{sum(seconds.values()):.0f} ({', '.join(parts)})"


def interval(figure: Report) -> str:
    """`0.812 (0.770 to 0.850)`, the value with its 95% interval; a figure without a value gives its reason."""
    if figure["value"] is None:
        return f"undefined: {figure['reason']}"
    text = f"{figure['value']:.3f}"
    if figure.get("low") is not None and figure.get("high") is not None:
        text += f" ({figure['low']:.3f} to {figure['high']:.3f})"
    return text
