"""What an annotator draws in the browser, and what arrives of it."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from datalab.adapters.label_studio.client import Client, connect
from datalab.adapters.label_studio.people import ensure_annotator
from datalab.adapters.label_studio.project import labeling_url
from datalab.adapters.label_studio.pull import pull_annotations
from datalab.adapters.label_studio.push import PushedRound
from datalab.adapters.label_studio.results import results_to_regions
from datalab.masks import BoolMask, rle_to_mask
from datalab.settings import Settings
from tests.services.label_studio_project import SIDE, Table, lay_table, push

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.services,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no browser: apt-get install chromium"),
]
SUBMIT = "[data-testid=bottombar-submit-button]"
CANVAS = ".konvajs-content"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[Client]:
    client = connect(settings.label_studio_url, settings.label_studio_token)
    with client.session:
        yield client


@pytest.fixture
def table(tmp_path: Path, request: pytest.FixtureRequest) -> Table:
    return lay_table(tmp_path, f"screen-{request.node.name[5:35]}", 1)


@pytest.fixture
def target(client: Client, settings: Settings, table: Table, request: pytest.FixtureRequest) -> PushedRound:
    """One task; the parameter, if there is one: the classes of its three proposals."""
    return push(client, settings, table, table.batch([1]), labels=getattr(request, "param", ("cup", "coin", "coin")))[0]


@pytest.fixture
def page(browser: Browser, client: Client, settings: Settings, target: PushedRound) -> Iterator[Page]:
    """The label stream as an annotator finds it; asserts that no request leaves the machine."""
    ensure_annotator(client, "eyes@datalab.local", settings.annotator_password)
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    elsewhere: list[str] = []
    local = (client.url, "data:", "blob:")
    page.on("request", lambda request: None if request.url.startswith(local) else elsewhere.append(request.url))
    page.goto(f"{client.url}/user/login/")
    page.fill("input[name=email]", "eyes@datalab.local")
    page.fill("input[name=password]", settings.annotator_password)
    page.click("button[type=submit]")
    page.goto(labeling_url(client, target.project_id))
    page.wait_for_selector(SUBMIT, timeout=90_000)
    yield page
    assert elsewhere == []
    context.close()


def close_instructions(page: Page) -> None:
    page.get_by_role("button", name="Close modal").click()
    page.wait_for_selector("text=Labeling Instructions", state="hidden")
    page.wait_for_timeout(1000)  # the masks are painted in frames of their own


def submit(page: Page) -> None:
    page.click(SUBMIT)
    page.wait_for_selector("text=No More Tasks Left")


def regions(client: Client, target: PushedRound, table: Table) -> list[tuple[str, str, BoolMask]]:
    """Label, origin and mask of the regions of the one annotation."""
    pulled = pull_annotations(client, target, table.catalog)
    assert len(pulled) == 1
    rows = results_to_regions(json.loads(pulled["result_json"].iloc[0]))
    return [(row["label"], row["origin"], rle_to_mask(row["rle"], row["height"], row["width"])) for row in rows]


def test_what_is_drawn_lands_where_it_was_drawn(page: Page, client: Client, target: PushedRound, table: Table) -> None:
    close_instructions(page)
    hand = Hand(page)
    hand.key("3")
    hand.click((200, 40), (300, 40), (300, 140), (200, 140), (200, 40))
    hand.key("Escape")
    hand.key("1")
    hand.stroke((60, 260), (110, 260))
    hand.key("Escape")
    page.locator("[class*=outliner] >> text=cup").first.click()
    hand.stroke((200, 230), (200, 260))
    submit(page)

    found = regions(client, target, table)
    assert [(label, origin) for label, origin, _ in found] == [
        ("cup", "edited"), ("coin", "proposal"), ("coin", "proposal"), ("coin", "manual"), ("coin", "manual")
    ]  # fmt: skip
    cup, *kept, polygon, brush = (mask for _, _, mask in found)
    proposed, *others = (rle_to_mask(rle, SIDE, SIDE) for rle in table.proposals()["rle"])
    assert np.array_equal(kept, others)
    square = np.zeros((SIDE, SIDE), dtype=bool)
    square[40:140, 200:300] = True
    assert np.array_equal(polygon, square)
    ys, xs = np.nonzero(brush)
    assert (xs.min() + xs.max()) / 2 == pytest.approx(85, abs=2)
    assert (ys.min() + ys.max()) / 2 == pytest.approx(260, abs=2)
    # a soft edge is drawn anew on the whole outline
    assert (proposed & ~cup).sum() < 0.01 * proposed.sum()
    assert cup[230:260, 200].all()


@pytest.mark.parametrize("target", [("", "", "coin")], indirect=True)
def test_a_proposal_without_a_class_waits_for_one(
    page: Page, client: Client, target: PushedRound, table: Table
) -> None:
    close_instructions(page)
    hand = Hand(page)
    page.locator("[class*=outliner] [class*=index]").first.click()
    hand.key("2")
    submit(page)
    found = regions(client, target, table)
    proposed = [rle_to_mask(rle, SIDE, SIDE) for rle in table.proposals()["rle"]]
    assert [(label, origin) for label, origin, _ in found] == [
        ("cup", "edited"),
        ("", "proposal"),
        ("coin", "proposal"),
    ]
    assert all(np.array_equal(mask, one) for (_, _, mask), one in zip(found, proposed, strict=True))


class Hand:
    """Mouse and keys over the image, in its own pixels."""

    def __init__(self, page: Page) -> None:
        box = page.locator(CANVAS).first.bounding_box()
        assert box is not None
        self.page, self.left, self.top, self.scale = page, box["x"], box["y"], box["height"] / SIDE

    def key(self, name: str) -> None:
        self.page.keyboard.press(name)
        self.page.wait_for_timeout(300)

    def click(self, *places: tuple[int, int]) -> None:
        for place in places:
            self.page.mouse.click(*self._on_screen(place))
            self.page.wait_for_timeout(400)  # two clicks in quick succession are a double click

    def stroke(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        self.page.mouse.move(*self._on_screen(start))
        self.page.mouse.down()
        self.page.mouse.move(*self._on_screen(end), steps=8)
        self.page.mouse.up()
        self.page.wait_for_timeout(700)

    def _on_screen(self, place: tuple[int, int]) -> tuple[float, float]:
        return self.left + place[0] * self.scale, self.top + place[1] * self.scale
