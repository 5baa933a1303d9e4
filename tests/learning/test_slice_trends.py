from typing import Any

import pytest

from datalab.learning.slice_trends import TREND, lasting_name, trends, worth_showing


def row(name: str, iou: float, elsewhere: float = 0.8, images: int = 9) -> dict[str, Any]:
    """As in reports/slices.json."""
    return {"slice": name, "images": images, "iou": iou, "low": iou - 0.1, "high": iou + 0.1, "elsewhere": elsewhere,
            "p": 0.5, "q": 0.5}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "lasting"),
    [
        ("brightness up to 0.312", "lowest third of brightness"),
        ("sharpness from -3.1", "highest third of sharpness"),
        ("megapixels from 1.2e+03", "highest third of megapixels"),
        ("foreground above 0", "highest third of foreground"),
        ("foreground below 1", "lowest third of foreground"),
        ("folder: shots up to 3 m", "folder: shots up to 3 m"),
        ("folder: photos from 2019", "folder: photos from 2019"),
        ("coin there", "coin there"),
        ("brightness up to 0.45 & sharpness above -3.1", "lower half of brightness & upper half of sharpness"),
        ("coin there & weather: rain", "coin there & weather: rain"),
        ("folder: salt & pepper", "folder: salt & pepper"),
        ("dark", "dark"),
    ],
)
def test_the_border_of_a_third_is_not_part_of_its_name(name: str, lasting: str) -> None:
    assert lasting_name(name) == lasting


def test_a_slice_that_somebody_named_keeps_its_name() -> None:
    table = trends({1: [row("shots from 2019", 0.5), row("shots from 2020", 0.6)]}, ["shots from 2019"])
    assert table["slice"].tolist() == ["highest third of shots", "shots from 2019"]


def test_a_slice_is_followed_from_round_to_round() -> None:
    table = trends(
        {2: [row("brightness up to 0.4", 0.6, images=12), row("dark", 0.7)], 1: [row("brightness up to 0.3", 0.5)]}
    )
    assert tuple(table.columns) == TREND
    assert table[["slice", "round", "images", "iou"]].to_numpy().tolist() == [
        ["dark", 2, 9, 0.7],
        ["lowest third of brightness", 1, 9, 0.5],
        ["lowest third of brightness", 2, 12, 0.6],
    ]


def test_before_there_is_a_slice_the_table_is_empty() -> None:
    assert tuple(trends({1: []}).columns) == TREND
    assert worth_showing(trends({1: []}), ["dark"], 3) == []


def test_named_slices_come_first_then_those_farthest_behind() -> None:
    now = [row("dark", 0.9), row("cup there", 0.6), row("coin there", 0.3), row("folder: a", 0.7)]
    table = trends({1: [row("cup there", 0.1)], 2: now})
    assert worth_showing(table, ["dark"], 3) == ["dark", "coin there", "cup there"]


def test_what_is_shown_is_far_below_the_others_and_not_just_low() -> None:
    table = trends({1: [row("a", 0.5, elsewhere=0.5), row("b", 0.6, elsewhere=0.9)]})
    assert worth_showing(table, [], 1) == ["b"]
