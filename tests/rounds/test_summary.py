from io import StringIO

from rich.console import Console

from datalab.rounds.summary import interval, summary_rows, summary_table

FIGURE = {"value": 0.81234, "low": 0.7, "high": 0.9, "n": 4, "reason": None}
NONE = {"value": None, "low": None, "high": None, "n": 0, "reason": "nothing to count"}
GATE_ERROR = {"mean_absolute_error": 0.123, "shown_mean_iou": 0.71, "shown_bad_share": 0.125, "reason": None}
GATE = {
    "reason": None,
    "shown_by_source": {"sam": 7, "model": 2},
    "left_out": 31,
    "propose_at": 0.6,
    "sources": {"sam": {"reason": None, "error": GATE_ERROR}, "model": {"reason": "too little gold"}},
}
BENEFIT = {
    "seconds_per_object": {"with": FIGURE, "without": NONE, "ratio": NONE},
    "seconds_per_answer": {"with": FIGURE, "without": NONE, "ratio": NONE},
    "gold_f1": {"with": FIGURE, "without": FIGURE, "difference": NONE},
    "gold_iou": {"with": FIGURE, "without": FIGURE, "difference": NONE},
    "edits": {"iou": FIGURE, "pixels_added": NONE},
    "warning": "whether proposals help cannot be told: nothing to count",
}
REPORT = {
    "round": 2,
    "workspace": "tiles",
    "images": {"total": 12, "added": 3, "exact_duplicates": 1, "near_duplicates": 2, "quarantined": 4},
    "batch": {"gold": 2, "batch": 5},
    "sam": "sam-small-1",
    "proposals": 40,
    "proposal_gate": GATE,
    "proposal_benefit": {"round": BENEFIT, "all": BENEFIT},
    "annotations": 21,
    "quarantined_answers": {"unknown class": 1, "empty after long work": 2},
    "corrected_answers": {"0001": 2},
    "annotators": ["ann", "bob"],
    "regions": {"manual": 3, "edited": 5},
    "agreement": {"objects": FIGURE},
    "agreement_with_model": FIGURE,
    "agreement_verdict": {"value": None, "reason": "too few"},
    "gold": {
        "ann": {"f1": NONE, "mean_iou": NONE, "action": {"value": "none", "reason": "3 gold objects"}, "advice": []},
        "bob": {
            "f1": FIGURE,
            "mean_iou": FIGURE,
            "action": {"value": "warn", "reason": "F1 fell by 0.20"},
            "advice": ["draws 3.0 px too wide (2.1 to 3.9)", "misses small objects: 4 of 9 right"],
        },
    },
    "evaluation": {"miou": FIGURE},
    "test_images": 7,
    "worse_slices": ["dark: IoU 0.31 on 9 images, 0.72 elsewhere"],
    "proof": {
        "verdict": {"value": "go on", "reason": "the next 5 images are expected to bring 2.0 points (0.5 to 4.0)"},
        "control": {"all": {"says": "no difference between chosen and random images can be told"}},
    },
    "next_batch": 5,
    "to_adjudicate": 4,
    "seconds": {"push": 2.0, "ingest": 1.4, "label": 30.0},
    "addresses": {"FiftyOne": "http://127.0.0.1:1/datasets/tiles"},
}


def test_every_figure_has_a_row_and_steps_keep_their_order() -> None:
    rows = {row["figure"]: row["value"] for row in summary_rows(REPORT)}
    assert rows["annotations: set aside"] == (
        "2 empty after long work, 1 unknown class (see data/rounds/0002/quarantine.parquet)"
    )
    assert rows["annotations: changed since their round"] == "2 of round 0001"
    assert rows["agreement: objects"] == "0.812 (0.700 to 0.900)"
    assert rows["agreement: people and the model, unseen images"] == "0.812 (0.700 to 0.900)"
    assert rows["for a reviewer"] == "4 images (datalab adjudicate push)"
    assert rows["agreement: verdict"] == "none: too few"
    assert rows["gold: ann"] == "F1 undefined: nothing to count, IoU undefined: nothing to count"
    assert rows["proposals: gate"] == (
        "2 model, 7 sam shown, 31 left out; gold: model not calibrated (too little gold); "
        "sam off by 0.12, shown IoU 0.71, 12% below one half"
    )
    assert rows["proposals: seconds per object"] == ("with 0.812 (0.700 to 0.900), without undefined: nothing to count")
    assert rows["proposals: seconds per answer"] == rows["proposals: seconds per object"]
    assert rows["proposals: edits"] == "iou 0.812 (0.700 to 0.900), pixels added undefined: nothing to count"
    assert rows["warning"].startswith("whether proposals help cannot be told")
    assert rows["action: bob"] == "warn: F1 fell by 0.20"
    assert rows["advice: bob"] == "draws 3.0 px too wide (2.1 to 3.9); misses small objects: 4 of 9 right"
    assert not {"action: ann", "advice: ann"} & set(rows)
    assert rows["seconds"] == "33 (ingest 1, push 2, label 30)"
    assert rows["worse than elsewhere"] == "dark: IoU 0.31 on 9 images, 0.72 elsewhere"
    assert rows["next batch: worth it"] == "go on: the next 5 images are expected to bring 2.0 points (0.5 to 4.0)"
    assert rows["choice against chance"] == "no difference between chosen and random images can be told"
    assert rows["FiftyOne"].endswith("/tiles")


def test_figures_without_a_value_share_a_row_by_their_reason() -> None:
    nobody, few = ({"value": None, "reason": why} for why in ("no image has two people", "too few"))
    alone = {"objects": nobody, "pixels": FIGURE, "f1": nobody, "alpha": few}
    rows = [row for row in summary_rows(REPORT | {"agreement": alone}) if row["figure"].startswith("agreement: ")]
    assert [(row["figure"], row["value"]) for row in rows[:3]] == [
        ("agreement: pixels", "0.812 (0.700 to 0.900)"),
        ("agreement: not known", "objects, f1: no image has two people"),
        ("agreement: not known", "alpha: too few"),
    ]


def test_held_out_images_that_hang_together_are_counted_in_groups_too() -> None:
    def said(**more: int) -> str:
        return next(one["value"] for one in summary_rows(REPORT | more) if one["figure"] == "held-out images")

    assert (said(), said(test_groups=7), said(test_groups=3)) == ("7", "7", "7 in 3 groups")


def test_images_of_two_people_that_hang_together_are_counted_in_groups_too() -> None:
    def said(**more: int) -> list[str]:
        about = "images labelled by two people or more"
        return [one["value"] for one in summary_rows(REPORT | more) if one["figure"] == about]

    assert said(double_labelled_images=9) == []
    assert said(double_labelled_images=9, double_labelled_groups=9) == ["9"]
    assert said(double_labelled_images=9, double_labelled_groups=2) == ["9 in 2 groups"]


def test_classes_of_which_the_model_saw_nothing_are_listed() -> None:
    alone = {"value": 0.0, "low": None, "high": None, "reason": "no training image shows it; no interval: too few"}
    figures = {"miou": FIGURE, "iou car": alone, "iou van": {**alone, "reason": "no training image shows it"}}
    found = {one["figure"]: one["value"] for one in summary_rows(REPORT | {"evaluation": figures})}
    assert found["held-out: never learned"] == "car, van: no training image shows it, and miou counts it"
    assert "held-out: never learned" not in {one["figure"] for one in summary_rows(REPORT)}


def test_a_report_from_before_there_was_a_proof_has_no_such_row() -> None:
    figures = [row["figure"] for row in summary_rows({key: REPORT[key] for key in REPORT if key != "proof"})]
    assert not {"next batch: worth it", "choice against chance"} & set(figures)


def test_the_table_shows_on_a_terminal() -> None:
    out = StringIO()
    Console(file=out, width=100).print(summary_table(REPORT))
    assert "Round 2 of tiles" in out.getvalue()
    assert "5 batch, 2 gold" in out.getvalue()


def test_brackets_in_a_name_are_no_markup() -> None:
    evaluation = REPORT["evaluation"]
    assert isinstance(evaluation, dict)
    miou = evaluation["miou"]
    out = StringIO()
    report = {**REPORT, "evaluation": {"iou car [red]": miou, "iou [/old]": miou, "iou :car:": miou}}
    Console(file=out, width=120).print(summary_table(report))
    assert "car [red]" in out.getvalue()
    assert "[/old]" in out.getvalue()
    assert ":car:" in out.getvalue()


def test_a_value_without_interval() -> None:
    assert interval({"value": 1.0, "low": None, "high": None, "n": 1, "reason": "one image"}) == "1.000"


def test_a_round_without_such_tasks_and_no_warning() -> None:
    benefit = {"round": None, "all": {**BENEFIT, "warning": None}}
    figures = [row["figure"] for row in summary_rows({**REPORT, "proposal_benefit": benefit})]
    assert [name for name in figures if name.startswith("proposals:")] == [
        "proposals: gate",
        "proposals: time ratio, all rounds",
    ]
    assert "warning" not in figures


def test_what_a_gate_would_accept_is_told_with_its_share_of_bad_ones() -> None:
    error = {**GATE_ERROR, "accepted": 9, "accepted_bad_share": FIGURE}
    gate = {**GATE, "sources": {"sam": {"reason": None, "error": error}}}
    rows = {row["figure"]: row["value"] for row in summary_rows({**REPORT, "proposal_gate": gate})}
    told = "of 9 that reach accept_at 0.812 (0.700 to 0.900) are below one half or of another class"
    assert rows["proposals: gate"].endswith(told)


def test_a_gate_that_shows_nothing_and_no_gate() -> None:
    silent = {**GATE_ERROR, "shown_mean_iou": None, "shown_bad_share": None, "reason": "no proposal reaches 0.6"}
    gate = {**GATE, "shown_by_source": {}, "sources": {"sam": {"reason": None, "error": silent}}}
    rows = {row["figure"]: row["value"] for row in summary_rows({**REPORT, "proposal_gate": gate})}
    assert rows["proposals: gate"].startswith("none shown, 31 left out")
    assert rows["proposals: gate"].endswith("sam off by 0.12, no proposal reaches 0.6")
    none = {"reason": "too little gold"}
    rows = {row["figure"]: row["value"] for row in summary_rows({**REPORT, "proposal_gate": none})}
    assert rows["proposals: gate"] == "none: too little gold"
