import base64
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from markupsafe import Markup

from datalab.adapters.report_page import Heat, Page, crop_picture, heat_picture, outline_picture, write_page

SURE = {"value": 0.8, "low": 0.7, "high": 0.9, "n": 12, "reason": None}
UNKNOWN = {"value": None, "low": None, "high": None, "n": 0, "reason": "nothing to count"}
ANN, BOB = "ann@x.org", "<script>alert(1)</script>"
PAGE = Page(
    number=3,
    workspace="tiles & <b>more</b>",
    images=20,
    double=12,
    double_groups=12,
    annotators=(ANN, BOB),
    verdict={"value": None, "reason": "12 double-labelled images; a verdict needs 50"},
    figures={"objects": SURE, "alpha": UNKNOWN},
    matrix=((None, SURE), (SURE, None)),
    classes={"coin": {"objects": SURE, "f1": UNKNOWN, "presence": {"alpha": SURE, "prevalence": SURE}}},
    attributes={"coin: state": {"kappa": UNKNOWN, "observed": SURE, "answered": SURE}},
    gold={
        BOB: {
            "skill_interval": UNKNOWN,
            "precision": UNKNOWN,
            "recall": SURE,
            "mean_iou": SURE,
            "images": 2,
            "action": {"value": "warn", "reason": "skill"},
            "drifting": True,
            "advice": ["misses small objects"],
        }
    },
    letters=(("A", "#0072b2"), ("B", "#e69f00")),
    heats=(Heat("a.jpg", "existence of coin", "data:image/jpeg;base64,AA==", "data:image/jpeg;base64,AA=="),),
    consensus={"contested_images": 4, "decided_contested_images": 1, "audited_images": 5},
    left={
        "unseen_images": 9,
        "risky_images": 3,
        "wrong_images_left": {"value": 2.4, "low": 0.2, "high": 7.0, "n": 5, "reason": None},
    },
    audits=2,
    queue=(
        {
            "name": "a.jpg", "risk": 0.61, "why": "existence of coin",
            "agreement": 0.5, "skill": 0.2, "model": None, "label_error": None,
        },
    ),
    queued=3,
    trends="",
    suspects=(
        {
            "name": "b.jpg", "crop": "data:image/jpeg;base64,AA==", "given": "coin", "suggested": "cup",
            "kind": "swapped", "score": 0.93,
        },
    ),
)  # fmt: skip


def written(folder: Path, page: Page) -> str:
    write_page(folder / "page.html", page)
    return (folder / "page.html").read_text(encoding="utf-8")


def test_it_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    text = written(tmp_path, PAGE)
    sources: list[str] = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert len(sources) == 3
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert "http" not in text
    assert "<script" not in text


def test_names_out_of_the_data_are_text(tmp_path: Path) -> None:
    text = written(tmp_path, PAGE)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "tiles &amp; &lt;b&gt;more&lt;/b&gt;" in text


def test_what_is_undefined_says_why_and_numbers_have_their_interval(tmp_path: Path) -> None:
    text = " ".join(written(tmp_path, PAGE).split())
    assert "nothing to count" in text
    assert '<b>warn</b>, drifting <span class="soft">skill<br>misses small objects</span>' in text
    assert "0.80 <small>0.70 to 0.90</small>" in text
    assert "No verdict on agreement: 12 double-labelled images; a verdict needs 50." in text
    told = "Of 9 images that nobody contested or looked at 2 (0 to 7) have an error, by an audit of 5; 3 more are risky"
    assert told in text
    assert "The first 1 of 3." in text


def test_a_quiet_round(tmp_path: Path) -> None:
    nothing: dict[str, Any] = {
        "matrix": (),
        "heats": (),
        "queue": (),
        "suspects": (),
        "left": {"wrong_images_left": UNKNOWN},
        "queued": 0,
        "audits": 0,
    }
    text = " ".join(written(tmp_path, replace(PAGE, **nothing)).split())
    for said in (
        "Nobody disagrees",
        "No image waits.",
        "No label is suspected.",
    ):
        assert said in text
    assert "How many errors are left is not known: nothing to count." in text


def test_a_round_of_one_person_with_an_audit(tmp_path: Path) -> None:
    text = " ".join(written(tmp_path, replace(PAGE, heats=(), queue=(), double=0, audits=1)).split())
    assert text.count("No image was labelled by two people, so how far people agree is not known.") == 1
    for about_two in ("Nobody disagrees", "Who agrees with whom", "By class", "Where people disagree"):
        assert about_two not in text
    assert "give the audit's images to a reviewer" in text
    assert "No image waits." not in text


def test_finished_parts_come_last_as_they_are(tmp_path: Path) -> None:
    text = written(tmp_path, replace(PAGE, parts=[Markup("<h2>More</h2>"), Markup("<p>&amp;</p>")]))
    assert "<h2>More</h2>" in text
    assert text.index("<p>&amp;</p>") > text.index("Labels that are probably wrong")


def pixels(uri: str) -> npt.NDArray[np.int64]:
    content = np.frombuffer(base64.b64decode(uri.partition(",")[2]), dtype=np.uint8)
    decoded = cv2.imdecode(content, cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded[..., ::-1].astype(np.int64)


def test_heat_is_red_where_people_disagree() -> None:
    shares = np.zeros((40, 60), dtype=np.float32)
    shares[:, 30:] = 1
    found = pixels(heat_picture(np.full((40, 60, 3), 120, dtype=np.uint8), shares))
    assert found.shape == (40, 60, 3)
    calm, hot = found[20, 10], found[20, 50]
    assert np.ptp(calm) < 12
    assert hot[0] - hot[1:].max() > 100


def test_outlines_have_their_persons_colour_and_large_images_shrink() -> None:
    mask = np.zeros((400, 720), dtype=bool)
    mask[100:300, 200:500] = True
    found = pixels(outline_picture(np.full((400, 720, 3), 255, dtype=np.uint8), [[], [mask]]))
    assert found.shape == (200, 360, 3)
    assert np.abs(found[100, 100] - [0xE6, 0x9F, 0x00]).max() < 60
    assert found[100, 175].min() > 240


def test_an_object_of_a_few_pixels_has_an_outline_on_the_page() -> None:
    grey = np.full((1500, 2000, 3), 90, dtype=np.uint8)
    for place in range(10):
        mask = np.zeros((1500, 2000), dtype=bool)
        mask[101 + 83 * place : 105 + 83 * place, 201 + 97 * place : 205 + 97 * place] = True
        found = pixels(outline_picture(grey, [[mask]]))
        y, x = np.nonzero(np.abs(found - 90).max(axis=2) > 40)
        assert (y.mean(), x.mean()) == pytest.approx((0.18 * (103 + 83 * place), 0.18 * (203 + 97 * place)), abs=1.5)


def test_a_crop_shows_its_surroundings_and_stays_inside() -> None:
    image = np.zeros((50, 50, 3), dtype=np.uint8)
    assert pixels(crop_picture(image, (20, 20, 10, 8))).shape == (18, 20, 3)
    assert pixels(crop_picture(image, (0, 0, 10, 8))).shape == (13, 15, 3)
    assert not image.any()


@pytest.mark.parametrize("side", [400, 1000, 4000])
@pytest.mark.parametrize("ground", [90, 255], ids=["grey", "white"])
def test_the_box_on_a_crop_is_seen_at_any_size_and_on_any_ground(side: int, ground: int) -> None:
    image = np.full((side, side, 3), ground, dtype=np.uint8)
    found = pixels(crop_picture(image, (side // 4, side // 4, side // 3, side // 3)))
    height, width = found.shape[:2]
    # half of the box's side lies around it
    top, left = round(height / 4), round(width / 4)
    white, dark = found[top, left + 5 : -left - 5], found[top - 2 : top, left + 5 : -left - 5]
    assert white.min() > 225
    assert dark.min(axis=0).max() < 60
    assert np.abs(found[height // 2, width // 2] - ground).max() < 5


def test_images_that_hang_together_are_counted_in_groups_too(tmp_path: Path) -> None:
    alone = " ".join(written(tmp_path, PAGE).split())
    assert "12 of them by two or more. Intervals are 95%. " in alone
    assert "<th>images</th>" in alone
    text = " ".join(written(tmp_path, replace(PAGE, double_groups=4)).split())
    assert "12 of them by two or more, in 4 groups of images that hang together. Intervals are 95%, by groups. " in text
    assert "<th>groups</th>" in text
