"""A headless Chromium at the real Label Studio: a person who logs in, looks, points and presses keys."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from datalab.adapters.label_studio.client import Client
from datalab.masks import BoolMask

CHROMIUM = Path("/usr/bin/chromium")
CANVAS = ".konvajs-content"
REGION = ".lsf-outliner-item"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's browser."""
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


def log_in(browser: Browser, url: str, email: str, password: str) -> Page:
    page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
    page.goto(f"{url}/user/login/")
    page.fill("input[name=email]", email)
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda address: "/user/login" not in address)
    return page


def close_instructions(page: Page) -> None:
    """They come first, when a task is opened."""
    page.get_by_role("button", name="Close modal").click(timeout=90_000)
    expect(page.locator(".lsf-modal-ls")).to_have_count(0)


def canvas_pixels(page: Page) -> npt.NDArray[np.int16]:
    """What the labeling canvas shows, as RGB."""
    page.wait_for_timeout(1000)  # masks are painted in frames of their own
    shot = page.locator(CANVAS).first.screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), dtype=np.int16)


def colored_pixels(page: Page) -> tuple[npt.NDArray[np.int16], BoolMask]:
    """The photograph on the canvas without regions, and where regions had coloured it."""
    with_masks = canvas_pixels(page)
    page.get_by_role("button", name="Hide all regions").click()
    expect(page.get_by_role("button", name="Show all regions")).to_be_visible()
    photograph = canvas_pixels(page)
    page.get_by_role("button", name="Show all regions").click()
    return photograph, np.asarray(np.abs(with_masks - photograph).max(axis=-1) > 8)


def enlarged(mask: BoolMask, shape: tuple[int, ...]) -> BoolMask:
    """The mask as the canvas shows it: as high as the canvas, from the left on."""
    width = round(shape[0] * mask.shape[1] / mask.shape[0])
    large = cv2.resize(mask.astype(np.uint8), (width, shape[0]), interpolation=cv2.INTER_NEAREST)
    return np.pad(np.asarray(large, dtype=bool), ((0, 0), (0, shape[1] - width)))


def submit(page: Page) -> None:
    with page.expect_response(lambda answer: "/annotations" in answer.url and answer.request.method == "POST"):
        page.get_by_test_id("bottombar-submit-button").click()


def iou(a: BoolMask, b: BoolMask) -> float:
    return float((a & b).sum() / (a | b).sum())


def requests_elsewhere(page: Page, client: Client) -> list[str]:
    """Grows by every address outside the server that the page asks for from now on."""
    elsewhere: list[str] = []
    local = (client.url, "data:", "blob:")
    page.on("request", lambda request: None if request.url.startswith(local) else elsewhere.append(request.url))
    return elsewhere


class Hand:
    """Mouse and keys over an image of `height` pixels, in its own pixels."""

    def __init__(self, page: Page, height: int) -> None:
        box = page.locator(CANVAS).first.bounding_box()
        assert box is not None
        self.page, self.left, self.top, self.scale = page, box["x"], box["y"], box["height"] / height

    def key(self, name: str) -> None:
        self.page.keyboard.press(name)
        self.page.wait_for_timeout(300)

    def select(self, place: int) -> None:
        """The region at this place of the list."""
        self.page.locator(REGION).nth(place).click()
        self.page.mouse.move(self.left, self.top - 5)  # a pointer on the list darkens the image

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
