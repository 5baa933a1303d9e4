"""An annotator labels in the browser: what is on the screen, what can be done to it, and what arrives of it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from datalab.adapters.label_studio.attributes import results_to_attributes
from datalab.adapters.label_studio.brush import mask_to_brush
from datalab.adapters.label_studio.client import Client
from datalab.adapters.label_studio.people import ensure_annotator
from datalab.adapters.label_studio.project import ensure_project, labeling_url
from datalab.adapters.label_studio.pull import pull_annotations
from datalab.adapters.label_studio.push import PushedRound
from datalab.adapters.label_studio.results import results_to_regions
from datalab.config import Attribute
from datalab.masks import BoolMask, rle_to_mask
from datalab.settings import Settings
from tests.services.browser import (
    CHROMIUM,
    REGION,
    Hand,
    chromium,
    close_instructions,
    colored_pixels,
    enlarged,
    iou,
    log_in,
    requests_elsewhere,
    submit,
)
from tests.services.label_studio_project import GUIDELINES, SIDE, Table, lay_table, push

PERSON = "eyes@datalab.local"
DISC, RING, DUST = 0, 1, 2
"""Places of the proposals in the list of regions."""

pytestmark = [
    pytest.mark.services,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no browser: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def client(client: Client, settings: Settings) -> Client:
    ensure_annotator(client, PERSON, settings.annotator_password)
    return client


@pytest.fixture
def table(tmp_path: Path, request: pytest.FixtureRequest) -> Table:
    return lay_table(tmp_path, f"screen-{request.node.name[5:35]}", 1)


@pytest.fixture
def proposed(table: Table) -> list[BoolMask]:
    """A disc, a ring and scattered pixels; the first is called a cup, the others coins."""
    return [rle_to_mask(rle, SIDE, SIDE) for rle in table.proposals()["rle"]]


@pytest.fixture
def target(client: Client, settings: Settings, table: Table, request: pytest.FixtureRequest) -> PushedRound:
    """One task; the parameter, if there is one: the classes of its three proposals."""
    return push(client, settings, table, table.batch([1]), labels=getattr(request, "param", ("cup", "coin", "coin")))[0]


@pytest.fixture
def page(browser: Browser, client: Client, settings: Settings, target: PushedRound) -> Iterator[Page]:
    """The label stream as an annotator finds it; asserts that no request leaves the machine."""
    page = log_in(browser, client.url, PERSON, settings.annotator_password)
    elsewhere = requests_elsewhere(page, client)
    page.goto(labeling_url(client, target.project_id))
    yield page
    assert elsewhere == []
    page.context.close()


def submitted(client: Client, target: PushedRound, table: Table) -> list[tuple[str, str, BoolMask]]:
    """Label, origin and mask of the regions of the one annotation."""
    (row,) = pull_annotations(client, target, table.catalog).to_dict("records")
    assert row["annotator"] == PERSON
    assert row["lead_time_s"] > 0
    regions = results_to_regions(json.loads(row["result_json"]))
    return [(one["label"], one["origin"], rle_to_mask(one["rle"], SIDE, SIDE)) for one in regions]


def test_a_person_sees_photograph_and_proposals_and_submits_them(
    page: Page, client: Client, target: PushedRound, table: Table, proposed: list[BoolMask]
) -> None:
    expect(page.get_by_role("heading", name="How to mark")).to_be_visible(timeout=90_000)
    close_instructions(page)
    expect(page.locator(REGION)).to_have_count(3)
    photograph, colored = colored_pixels(page)
    # a photograph has many shades, an image that could not be loaded has not
    assert len(np.unique(photograph)) > 100
    assert iou(colored, enlarged(np.any(proposed[:DUST], axis=0), colored.shape)) > 0.9
    submit(page)
    found = submitted(client, target, table)
    assert [(label, origin) for label, origin, _ in found] == [
        ("cup", "proposal"), ("coin", "proposal"), ("coin", "proposal")
    ]  # fmt: skip
    assert [mask_to_brush(mask) for _, _, mask in found] == [mask_to_brush(mask) for mask in proposed]


def test_what_is_drawn_lands_where_it_was_drawn(
    page: Page, client: Client, target: PushedRound, table: Table, proposed: list[BoolMask]
) -> None:
    close_instructions(page)
    hand = Hand(page, SIDE)
    hand.key("3")
    hand.click((200, 40), (300, 40), (300, 140), (200, 140), (200, 40))
    hand.key("Escape")
    hand.key("1")
    hand.stroke((60, 260), (110, 260))
    submit(page)
    *kept, (_, _, polygon), (_, _, brush) = found = submitted(client, target, table)
    assert [(label, origin) for label, origin, _ in found[3:]] == [("coin", "manual"), ("coin", "manual")]
    assert np.array_equal([mask for _, _, mask in kept], proposed)
    square = np.zeros((SIDE, SIDE), dtype=bool)
    square[40:140, 200:300] = True
    assert np.array_equal(polygon, square)
    ys, xs = np.nonzero(brush)
    assert (xs.min() + xs.max()) / 2 == pytest.approx(85, abs=2)
    assert (ys.min() + ys.max()) / 2 == pytest.approx(260, abs=2)


def test_a_proposal_can_be_extended_erased_relabeled_and_deleted(
    page: Page, client: Client, target: PushedRound, table: Table, proposed: list[BoolMask]
) -> None:
    close_instructions(page)
    hand = Hand(page, SIDE)
    hand.select(DUST)
    hand.key("Backspace")
    expect(page.locator(REGION)).to_have_count(2)
    hand.select(RING)
    hand.key("2")
    hand.key("Escape")
    hand.select(DISC)
    hand.key("b")
    hand.stroke((200, 230), (200, 260))
    hand.key("e")
    hand.stroke((60, 120), (200, 120))
    hand.key("Escape")
    _, colored = colored_pixels(page)
    submit(page)

    (disc_label, disc_origin, disc), (ring_label, ring_origin, ring) = submitted(client, target, table)
    assert (disc_label, disc_origin) == ("cup", "edited")
    assert (ring_label, ring_origin) == ("cup", "edited")
    assert np.array_equal(ring, proposed[RING])
    assert disc[230:260, 200].all()
    assert not disc[120, 60:200].any()
    # off the strokes, whose half width is some 15 pixels at most, a soft edge is drawn anew on the outline alone
    elsewhere = np.ones((SIDE, SIDE), dtype=bool)
    elsewhere[100:141] = False
    elsewhere[210:281, 180:221] = False
    assert (disc ^ proposed[DISC])[elsewhere].sum() < 0.01 * proposed[DISC].sum()
    # what arrives is what was on the screen
    assert iou(colored, enlarged(disc | ring, colored.shape)) > 0.95


@pytest.mark.parametrize("target", [("", "", "coin")], indirect=True)
def test_a_proposal_without_a_class_waits_for_one(
    page: Page, client: Client, target: PushedRound, table: Table, proposed: list[BoolMask]
) -> None:
    close_instructions(page)
    hand = Hand(page, SIDE)
    hand.select(DISC)
    hand.key("2")
    submit(page)
    found = submitted(client, target, table)
    assert [(label, origin) for label, origin, _ in found] == [
        ("cup", "edited"), ("", "proposal"), ("coin", "proposal")
    ]  # fmt: skip
    assert np.array_equal([mask for _, _, mask in found], proposed)


def test_a_question_about_the_selected_region_is_answered(
    page: Page, client: Client, target: PushedRound, table: Table
) -> None:
    asking = replace(GUIDELINES.classes[1], attributes=(Attribute("state", ("whole", "broken")),))
    guidelines = replace(GUIDELINES, classes=(GUIDELINES.classes[0], asking))
    ensure_project(client, table.workspace.name, guidelines, overlap=3)
    page.reload()
    close_instructions(page)
    question = page.get_by_text("cup: state")
    expect(question).not_to_be_visible()
    hand = Hand(page, SIDE)
    hand.select(RING)
    expect(question).not_to_be_visible()
    hand.select(DISC)
    # without scrolling, though the image is as high as the screen
    expect(question).to_be_in_viewport()
    page.get_by_text("broken").click()
    submit(page)
    (row,) = pull_annotations(client, target, table.catalog).to_dict("records")
    results = json.loads(row["result_json"])
    (answer,) = results_to_attributes(results)
    disc = results_to_regions(results)[DISC]
    assert answer == {"region_id": disc["region_id"], "class_id": 2, "attribute": "state", "value": "broken"}
    assert disc["label"] == "cup"
