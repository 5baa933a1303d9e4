from pathlib import Path

from scipy import stats
from segmenting.picture import Line, class_table, comparison, draw, grouped, table

from datalab.adapters.files import read_rgb


def line(model: str, seed: int, miou: float, minutes: float = 2.0, side: str = "ours") -> Line:
    return {"set": "tiles", "edition": 2, "side": side, "model": model, "seed": seed, "budget_minutes": minutes,
            "minutes": minutes + 0.2 * seed, "steps": 100 * seed, "batch": 6, "miou": miou,
            "iou": {"background": 0.9, "crack": miou}, "peak_memory_mb": 2048}  # fmt: skip


LINES = [
    line("small", 1, 0.1), line("small", 2, 0.2),
    line("large", 1, 0.3), line("large", 2, 0.5),
    line("small", 1, 0.05, side="reference"),
    line("small", 1, 0.9, minutes=10.0),
]  # fmt: skip


def test_the_best_comes_first_and_other_minutes_apart() -> None:
    assert [(minutes, side, model) for _, minutes, side, model in grouped(LINES)] == [
        (2.0, "ours", "large"), (2.0, "ours", "small"), (2.0, "reference", "small"), (10.0, "ours", "small"),
    ]  # fmt: skip


def test_what_was_judged_on_images_of_an_older_edition_is_left_out() -> None:
    newer = [line("small", seed, 0.2) | {"edition": 3} for seed in (1, 2)]
    found = grouped([*LINES, *newer])
    assert [(key[1:], len(lines)) for key, lines in found.items()] == [
        ((2.0, "ours", "small"), 2),
        ((10.0, "ours", "small"), 1),
    ]
    assert found["tiles", 2.0, "ours", "small"] == newer


def test_a_row_is_the_mean_of_its_seeds() -> None:
    rows = table(grouped(LINES)).splitlines()
    # t of one degree of freedom, 12.7 times 0.1: with two seeds next to nothing is known
    assert rows[2] == "| tiles | ours | `large` | 0.400 (0.000 to 1.000) | 2 | 150 of 6 | 2.3 | 2.0 GB |"
    assert rows[4].split(" | ")[3] == "0.050"
    assert len(rows) == 2 + 4


def test_ours_beside_the_reference_of_the_same_minutes() -> None:
    three = [0.30, 0.34, 0.41], [0.10, 0.11, 0.09]
    lines = [
        line("small", seed, miou, side=side)
        for side, values in zip(("ours", "reference"), three, strict=True)
        for seed, miou in enumerate(values, 1)
    ]
    other = [line("large", 1, 0.5), line("small", 1, 0.9, minutes=10.0)]
    expected = stats.ttest_ind(*three, equal_var=False)
    assert float(expected.pvalue) < 0.05
    rows = comparison(grouped([*lines, *other])).splitlines()
    assert len(rows) == 3
    shown = rows[2].split(" | ")[-1]
    assert shown.startswith("+0.250 (+0.1")


def test_a_class_has_the_mean_of_its_seeds_in_the_table_of_its_data() -> None:
    other = line("small", 1, 0.7) | {"set": "roads", "iou": {"car": 0.75}}
    roads, tiles = class_table(grouped([*LINES, other])).split("\n\n")
    assert roads.splitlines()[2:] == ["| ours `small` | 2 | 0.75 |"]
    assert tiles.splitlines()[0] == "| tiles | minutes | background | crack |"
    assert tiles.splitlines()[2] == "| ours `large` | 2 | 0.90 | 0.40 |"


def test_each_budget_has_its_panel(tmp_path: Path) -> None:
    draw(tmp_path / "two.png", grouped(LINES))
    draw(tmp_path / "one.png", grouped(LINES[:-1]))
    two, one = read_rgb(tmp_path / "two.png"), read_rgb(tmp_path / "one.png")
    assert two.shape[1] == one.shape[1] and two.shape[0] > one.shape[0]
