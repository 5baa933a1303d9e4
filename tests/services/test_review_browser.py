"""A reviewer in the browser: sees a saved view with its masks, and a tag they give becomes a task in Label Studio."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from datalab.adapters.files import write_table
from datalab.adapters.review_app import review_url
from datalab.rounds.closing import publish
from datalab.rounds.labeling import open_round, push
from datalab.rounds.mending import regions_to_mend
from datalab.rounds.opening import choose
from datalab.rounds.progress import silent
from datalab.rounds.reviewing import round_requests
from datalab.rounds.state import Round, save_round
from datalab.settings import Settings
from datalab.workspace import Workspace
from tests.services.browser import CHROMIUM
from tests.services.reviewed_workspace import IMAGES, reviewed_workspace

pytestmark = [
    pytest.mark.services,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs {CHROMIUM}"),
]
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE_MS = 90_000
"""The app loads megabytes of JavaScript, perhaps on a busy machine."""


@pytest.fixture(scope="module")
def workspace(review_app: Settings, stack_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = reviewed_workspace(tmp_path_factory.mktemp("seen") / "in-the-app", stack_folder / ".env")
    assert publish(made, None, silent)["views"] == ["worst first", "missed objects"]
    return made


@pytest.fixture(scope="module")
def page(workspace: Workspace) -> Iterator[Page]:
    """The app on the saved view "worst first"; it marks its parts for tests with `data-cy`."""
    with sync_playwright() as playwright:
        playwright.selectors.set_test_id_attribute("data-cy")
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1400, "height": 850})
        page.set_default_timeout(PATIENCE_MS)
        page.goto(review_url(Settings.load(workspace.env).fiftyone_url, workspace.name, "worst first"))
        page.get_by_test_id("looker").first.wait_for()
        # an advertisement lies over everything, some seconds after the images are there
        page.get_by_text("Dismiss").click()
        yield page
        browser.close()
        playwright.selectors.set_test_id_attribute("data-testid")


def share_of_yellow(page: Page) -> float:
    """Of the first image: only the coin's colour has more red than blue, the image itself is grey."""
    shot = page.get_by_test_id("looker").first.screenshot()
    pixels = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), dtype=np.int16)
    return float(np.mean(pixels[..., 0] - pixels[..., 2] > 60))


def test_the_saved_view_shows_its_images_with_masks(page: Page) -> None:
    expect(page.get_by_test_id("looker")).to_have_count(len(IMAGES), timeout=PATIENCE_MS)
    # the coin covers 12 x 12 of 40 x 40 pixels
    for _ in range(60):
        if share_of_yellow(page) > 0.05:
            break
        page.wait_for_timeout(1000)
    assert share_of_yellow(page) == pytest.approx(0.09, abs=0.02)


def test_a_histogram_is_beside_the_images(page: Page) -> None:
    expect(page.get_by_test_id("histograms-container")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_placeholder("Select field")).to_have_value("iou")


def test_the_form_for_reviewers_is_beside_the_images(page: Page) -> None:
    expect(page.locator('[data-item-id="@datalab/review/review"]')).to_be_visible(timeout=PATIENCE_MS)


def test_a_tag_given_in_the_app_becomes_a_task(page: Page, workspace: Workspace) -> None:
    page.get_by_test_id("action-tag-sample-labels").click()
    field = page.get_by_test_id("sample-tag-input")
    field.fill("wrong class")
    field.press("Enter")
    with page.expect_response(lambda answer: answer.url.endswith("/tag"), timeout=PATIENCE_MS):
        page.get_by_text("Apply").click()
    state = Round(2, "g", "o")
    save_round(workspace, state)
    assert choose(workspace, state, silent)["reviews"]["collected"] == len(IMAGES)
    folder = workspace.round_folder(2)
    write_table(folder / "proposals.parquet", regions_to_mend(workspace, round_requests(folder)))
    push(workspace, state, silent)
    client, target = open_round(workspace, state)
    notes = {task["data"]["image_id"]: task["data"]["note"] for task in client.tasks(target.project_id)}
    assert notes == dict.fromkeys(IMAGES, "wrong class")
