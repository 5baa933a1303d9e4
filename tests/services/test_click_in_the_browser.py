"""A person clicks in the browser: SAM's mask appears, is submitted, and arrives as a region of the chosen class."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from datalab.adapters.label_studio.client import Client
from datalab.adapters.label_studio.media import image_folder, image_url, publish_images
from datalab.adapters.label_studio.ml_backend import attach_click_to_mask
from datalab.adapters.label_studio.people import ensure_annotator
from datalab.adapters.label_studio.project import ensure_project, labeling_url
from datalab.adapters.label_studio.pull import pull_annotations
from datalab.adapters.label_studio.push import PushedRound, push_batch
from datalab.adapters.label_studio.results import results_to_regions
from datalab.masks import BoolMask, rle_to_mask
from datalab.services import click_to_mask
from datalab.services.stack import up
from datalab.settings import Settings
from datalab.tables import BATCH, PROPOSALS
from datalab.workspace import Workspace
from tests.services.browser import CHROMIUM, canvas_pixels, enlarged
from tests.services.conftest import ROOT, SHARED
from tests.services.label_studio_project import GUIDELINES

CANVAS = ".konvajs-content"
PERSON = "clicks@datalab.local"
HEIGHT, WIDTH = 240, 320
CLICKS, BOXES = 2, 3
"""Places of their lists of classes on the screen, after those of brush and polygon."""
DISK = (120, 110, 60)
"""Row, column and radius of the one object."""

pytestmark = [
    pytest.mark.services,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no browser: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def server(settings: Settings, stack_folder: Path) -> Settings:
    """`settings`, with click-to-mask running."""
    (stack_folder / "params.yaml").symlink_to(ROOT / "params.yaml")
    up(stack_folder, services=(*SHARED, click_to_mask.NAME))
    return settings


@pytest.fixture(scope="module")
def client(client: Client, settings: Settings) -> Client:
    ensure_annotator(client, PERSON, settings.annotator_password)
    return client


def disk() -> BoolMask:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.asarray(np.hypot(y - DISK[0], x - DISK[1]) < DISK[2])


@pytest.fixture
def workspace(tmp_path: Path, request: pytest.FixtureRequest) -> Workspace:
    return Workspace(tmp_path / f"click-{request.node.name[5:30]}")


@pytest.fixture
def photograph(workspace: Workspace, server: Settings) -> Path:
    """The published file."""
    return image_folder(workspace, server.datalab_media) / "photo.png"


@pytest.fixture
def target(client: Client, server: Settings, workspace: Workspace) -> PushedRound:
    """One task without proposals: a red disk on grey."""
    workspace.images.mkdir(parents=True)
    noise = np.random.default_rng(0).normal(0, 4, (HEIGHT, WIDTH, 3))
    picture = np.where(disk()[..., None], [200.0, 60, 40], [90.0, 110, 120]) + noise
    Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(workspace.images / "photo.png")
    project_id = ensure_project(client, workspace.name, GUIDELINES, overlap=1)
    for _ in range(2):
        assert attach_click_to_mask(client, project_id, server.click_url, server.click_password)
    publish_images(client, project_id, workspace, server.datalab_media, ["photo.png"])
    target = PushedRound(project_id, "0001", GUIDELINES)
    batch = pd.DataFrame([("photo", "batch", 1, 0, "random")], columns=list(BATCH))
    urls = {"photo": image_url(workspace, "photo.png")}
    push_batch(client, target, batch, pd.DataFrame(columns=list(PROPOSALS)), urls, lambda share, text: None)
    return target


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, client: Client, settings: Settings, target: PushedRound) -> Iterator[Page]:
    """The labeling screen with Auto-Annotation on."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.goto(f"{client.url}/user/login/")
    page.fill("input[name=email]", PERSON)
    page.fill("input[name=password]", settings.annotator_password)
    page.click("button[type=submit]")
    page.goto(labeling_url(client, target.project_id))
    page.get_by_role("button", name="Close modal").click(timeout=90_000)
    expect(page.locator(".lsf-modal-ls")).to_have_count(0)
    page.get_by_test_id("bottombar-auto-annotation-toggle").click()
    yield page
    context.close()


def choose(page: Page, tool: str, group: int, label: str) -> None:
    """A tool of the Auto-Detect button's fly-out, and a class of its list."""
    page.locator(".lsf-tool_smart:visible").first.hover()
    page.get_by_role("button", name=tool, exact=True).click()
    page.locator(".lsf-labels").nth(group).get_by_text(label).click()


def on_image(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a pixel of the image is on the page."""
    box = page.locator(CANVAS).bounding_box()
    assert box is not None
    return box["x"] + x * box["height"] / HEIGHT, box["y"] + y * box["height"] / HEIGHT


def ask(page: Page, act: Callable[[], None]) -> list[dict[str, Any]]:
    """What the server suggests when a person does this."""
    with page.expect_response(lambda answer: "interactive-annotating" in answer.url) as answered:
        act()
    return list(answered.value.json()["data"]["result"])


def submitted(page: Page, client: Client, target: PushedRound) -> list[dict[str, Any]]:
    with page.expect_response(lambda answer: "/annotations" in answer.url and answer.request.method == "POST"):
        page.get_by_test_id("bottombar-submit-button").click()
    catalog = pd.DataFrame({"image_id": ["photo"], "width": [WIDTH], "height": [HEIGHT]})
    (row,) = pull_annotations(client, target, catalog).to_dict("records")
    results: list[dict[str, Any]] = json.loads(row["result_json"])
    return results


def iou(a: BoolMask, b: BoolMask) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_clicks_and_a_box_make_masks_that_are_submitted(
    page: Page, client: Client, target: PushedRound, server: Settings
) -> None:
    (backend,) = client.get("/api/ml", project=target.project_id)
    assert (backend["state"], backend["is_interactive"]) == ("CO", True)
    assert client.get("/api/webhooks/", project=target.project_id) == []

    photograph = canvas_pixels(page)
    choose(page, "key-point-tool", CLICKS, "cup")
    ask(page, lambda: page.mouse.click(*on_image(page, DISK[1], DISK[0])))
    page.locator(".lsf-labels").nth(CLICKS).get_by_text("cup").click()
    page.keyboard.down("Alt")
    (suggested,) = ask(page, lambda: page.mouse.click(*on_image(page, 250, DISK[0])))
    page.keyboard.up("Alt")
    page.get_by_test_id("bottombar-accept-suggestions-button").click()
    expect(page.locator(".lsf-outliner-item")).to_have_count(1)
    page.wait_for_timeout(1000)  # the mask is painted in a frame of its own
    colored = np.abs(canvas_pixels(page) - photograph).max(axis=-1) > 8
    assert iou(colored, enlarged(disk(), colored.shape)) > 0.8

    choose(page, "rectangle-tool", BOXES, "coin")
    page.mouse.move(*on_image(page, 45, 55))
    page.mouse.down()
    page.mouse.move(*on_image(page, 120, 120), steps=4)
    page.mouse.move(*on_image(page, 175, 185), steps=4)
    (boxed,) = ask(page, page.mouse.up)
    page.get_by_test_id("bottombar-accept-suggestions-button").click()
    expect(page.locator(".lsf-outliner-item")).to_have_count(2)

    results = submitted(page, client, target)
    assert [one["value"]["rle"] for one in results] == [one["value"]["rle"] for one in (suggested, boxed)]
    regions = results_to_regions(results)
    assert [(one["label"], one["origin"]) for one in regions] == [("cup", "manual"), ("coin", "manual")]
    for region in regions:
        assert iou(rle_to_mask(region["rle"], HEIGHT, WIDTH), disk()) > 0.8
    embeddings = server.datalab_media.parent / "embeddings"
    assert len(list(embeddings.rglob("*.npy"))) == 1


def test_what_goes_wrong_can_be_read(page: Page, client: Client, target: PushedRound, photograph: Path) -> None:
    expect(page.get_by_text("No mask:")).to_have_count(0)
    photograph.unlink()
    choose(page, "key-point-tool", CLICKS, "cup")
    ask(page, lambda: page.mouse.click(*on_image(page, DISK[1], DISK[0])))
    expect(page.get_by_text("photo.png' is not there")).to_be_visible()
    # neither the text nor the point that is left is taken for a region
    assert results_to_regions(submitted(page, client, target)) == []
