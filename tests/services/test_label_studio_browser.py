"""A person labels in the browser: sees the photograph and its proposals, submits, and the masks arrive unchanged."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from datalab.adapters.label_studio.brush import mask_to_brush
from datalab.adapters.label_studio.client import Client, connect
from datalab.adapters.label_studio.media import image_url, publish_images
from datalab.adapters.label_studio.people import ensure_annotator
from datalab.adapters.label_studio.project import ensure_project, labeling_url
from datalab.adapters.label_studio.pull import pull_annotations
from datalab.adapters.label_studio.push import PushedRound, push_batch
from datalab.adapters.label_studio.results import results_to_regions
from datalab.config import load_guidelines
from datalab.masks import BoolMask, mask_to_rle
from datalab.sample.compose import compose
from datalab.settings import Settings
from datalab.tables import BATCH, CATALOG, PROPOSALS
from datalab.workspace import Workspace
from tests.services.conftest import ROOT

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PERSON, PASSWORD = "dora@datalab.local", "a password of the tests"
TITLE = "in the browser"
SCENE_SEED = 34
"""Of a sample image with a coin, a cup and a person."""

pytestmark = [
    pytest.mark.services,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs {CHROMIUM}"),
]


@dataclass(frozen=True)
class Scene:
    """One task: a real photograph with three proposed masks."""

    target: PushedRound
    masks: list[BoolMask]
    height: int
    width: int


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[Client]:
    client = connect(settings.label_studio_url, settings.label_studio_token)
    with client.session:
        ensure_annotator(client, PERSON, PASSWORD)
        yield client


@pytest.fixture(scope="module")
def scene(client: Client, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    workspace = Workspace(tmp_path_factory.mktemp("browser") / TITLE)
    workspace.images.mkdir(parents=True)
    sample = compose(np.random.default_rng(SCENE_SEED))
    Image.fromarray(sample.pixels).save(workspace.images / "photo.png")
    guidelines = load_guidelines(ROOT / "guidelines")
    target = PushedRound(ensure_project(client, TITLE, guidelines, overlap=1), "0001", guidelines)
    publish_images(client, target.project_id, workspace, settings.datalab_media, ["photo.png"])
    height, width = sample.label_map.shape
    names = {item.id: item.name for item in guidelines.classes}
    found = objects(sample.label_map)
    rows = [
        ("photo", f"proposal{number}", names[class_id], mask_to_rle(mask), height, width, 0.9, 0.95, "test")
        for number, (class_id, mask) in enumerate(found)
    ]
    batch = pd.DataFrame([("photo", "batch", 1, 0, "random")], columns=list(BATCH))
    urls = {"photo": image_url(workspace, "photo.png")}
    push_batch(client, target, batch, pd.DataFrame(rows, columns=list(PROPOSALS)), urls, lambda share, text: None)
    return Scene(target, [mask for _, mask in found], height, width)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


def objects(label_map: npt.NDArray[np.uint8]) -> list[tuple[int, BoolMask]]:
    """Class id and mask of every connected object."""
    found = []
    for class_id in np.unique(label_map[label_map > 0]):
        count, numbered = cv2.connectedComponents((label_map == class_id).astype(np.uint8))
        found += [(int(class_id), np.asarray(numbered == number)) for number in range(1, count)]
    return found


def log_in(browser: Browser, url: str) -> Page:
    page = browser.new_page(viewport={"width": 1400, "height": 850})
    page.goto(f"{url}/user/login/")
    page.fill("input[name=email]", PERSON)
    page.fill("input[name=password]", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url(lambda address: "/user/login" not in address)
    return page


def canvas_pixels(page: Page) -> npt.NDArray[np.int16]:
    """What the labeling canvas shows, as RGB."""
    shot = page.locator(".konvajs-content").first.screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), dtype=np.int16)


def enlarged(mask: BoolMask, shape: tuple[int, ...]) -> BoolMask:
    """The mask as the canvas shows it: as high as the canvas, from the left on."""
    width = round(shape[0] * mask.shape[1] / mask.shape[0])
    large = cv2.resize(mask.astype(np.uint8), (width, shape[0]), interpolation=cv2.INTER_NEAREST)
    return np.pad(np.asarray(large, dtype=bool), ((0, 0), (0, shape[1] - width)))


def catalog(scene: Scene) -> pd.DataFrame:
    row = ("photo", "photo.png", "photo.png", scene.width, scene.height, "0" * 16, "photo")
    return pd.DataFrame([row], columns=list(CATALOG))


def test_a_person_sees_photograph_and_proposals_and_submits_them(
    browser: Browser, client: Client, scene: Scene, tmp_path: Path
) -> None:
    page = log_in(browser, client.url)
    page.goto(labeling_url(client, scene.target.project_id))
    # the instructions come first
    expect(page.get_by_role("heading", name="How to mark an image")).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="Close modal").click()
    expect(page.locator(".lsf-modal-ls")).to_have_count(0)

    regions = page.locator(".lsf-outliner-item")
    expect(regions).to_have_count(len(scene.masks))
    page.wait_for_load_state("networkidle")
    page.screenshot(path=tmp_path / "label-studio.png")
    with_masks = canvas_pixels(page)
    page.get_by_role("button", name="Hide all regions").click()
    expect(page.get_by_role("button", name="Show all regions")).to_be_visible()
    photograph = canvas_pixels(page)
    # a photograph has many shades, an image that could not be loaded has not
    assert len(np.unique(photograph)) > 100
    colored = np.abs(with_masks - photograph).max(axis=-1) > 8
    proposed = enlarged(np.any(scene.masks, axis=0), colored.shape)
    assert (colored & proposed).sum() / (colored | proposed).sum() > 0.95
    page.get_by_role("button", name="Show all regions").click()

    with page.expect_response(lambda answer: "/annotations" in answer.url and answer.request.method == "POST"):
        page.get_by_test_id("bottombar-submit-button").click()
    table = pull_annotations(client, scene.target, catalog(scene))
    (row,) = table.to_dict("records")
    assert row["annotator"] == PERSON
    assert row["lead_time_s"] > 0
    results = json.loads(row["result_json"])
    assert [one["value"]["rle"] for one in results] == [mask_to_brush(mask) for mask in scene.masks]
    assert [one["origin"] for one in results_to_regions(results)] == ["proposal"] * len(scene.masks)
    page.context.close()
