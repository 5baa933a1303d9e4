from io import StringIO

from rich.console import Console

from datalab.rounds.summary import interval, summary_rows, summary_table

FIGURE = {"value": 0.81234, "low": 0.7, "high": 0.9, "n": 4, "reason": None}
NONE = {"value": None, "low": None, "high": None, "n": 0, "reason": "nothing to count"}
REPORT = {
    "round": 2,
    "workspace": "tiles",
    "images": {"total": 12, "added": 3, "exact_duplicates": 1, "near_duplicates": 2, "quarantined": 4},
    "batch": {"gold": 2, "batch": 5},
    "sam": "sam-small-1",
    "proposals": 40,
    "annotations": 21,
    "annotators": ["ann", "bob"],
    "regions": {"manual": 3, "edited": 5},
    "agreement": {"objects": FIGURE},
    "agreement_verdict": {"value": None, "reason": "too few"},
    "gold": {"ann": {"f1": NONE, "mean_iou": NONE}},
    "evaluation": {"miou": FIGURE},
    "test_images": 7,
    "next_batch": 5,
    "seconds": {"push": 2.0, "ingest": 1.4, "label": 30.0},
    "addresses": {"FiftyOne": "http://127.0.0.1:1/datasets/tiles"},
}


def test_every_figure_has_a_row_and_steps_keep_their_order() -> None:
    rows = {row["figure"]: row["value"] for row in summary_rows(REPORT)}
    assert rows["agreement: objects"] == "0.812 (0.700 to 0.900)"
    assert rows["agreement: verdict"] == "none: too few"
    assert rows["gold: ann"] == "F1 undefined: nothing to count, IoU undefined: nothing to count"
    assert rows["seconds"] == "33 (ingest 1, push 2, label 30)"
    assert rows["FiftyOne"].endswith("/tiles")


def test_the_table_shows_on_a_terminal() -> None:
    out = StringIO()
    Console(file=out, width=100).print(summary_table(REPORT))
    assert "Round 2 of tiles" in out.getvalue()
    assert "5 batch, 2 gold" in out.getvalue()


def test_a_value_without_interval() -> None:
    assert interval({"value": 1.0, "low": None, "high": None, "n": 1, "reason": "one image"}) == "1.000"
