"""The quality page of a round: one HTML file with everything in it, images too."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from datalab.adapters.files import write_text
from datalab.masks import BoolMask

Rgb = npt.NDArray[np.uint8]

LONGEST_SIDE = 360
"""Pixels of an image on the page; dozens of larger ones make a file that browsers open slowly."""
QUALITY = 85
JPEG = [cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
"""With the colours of every pixel: mixed four by four, as is usual, the outline of a small object is grey."""
HEAT = np.array([213, 0, 0], dtype=np.float32)
STRONGEST = 0.85
"""Opacity where all disagree: the image still shines through."""
COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#f0e442")
"""Okabe and Ito's, which colour-blind people can tell apart; annotators beyond the sixth begin anew."""


@dataclass(frozen=True)
class Heat:
    """One image on which people disagree, as two pictures (data URIs)."""

    name: str
    note: str
    outlines: str
    heat: str


@dataclass(frozen=True)
class Page:
    """What the page shows. Figures are mappings value, low, high, n, reason, as the reports have them."""

    number: int
    workspace: str
    images: int
    double: int
    """Images that two or more people labelled."""
    double_groups: int
    """How many they are where those that hang together count as one."""
    annotators: Sequence[str]
    verdict: Mapping[str, str | None]
    figures: Mapping[str, Mapping[str, Any]]
    matrix: Sequence[Sequence[Mapping[str, Any] | None]]
    """Agreement by annotator and annotator, in their order; None: no pair."""
    classes: Mapping[str, Mapping[str, Any]]
    attributes: Mapping[str, Mapping[str, Any]]
    """ "class: attribute" to the figures of the answers about objects."""
    gold: Mapping[str, Mapping[str, Any]]
    letters: Sequence[tuple[str, str]]
    """(letter, colour) of the annotators of an image."""
    heats: Sequence[Heat]
    consensus: Mapping[str, Any]
    """Of reports/consensus.json."""
    left: Mapping[str, Any]
    """Of reports/errors_left.json."""
    audits: int
    queue: Sequence[Mapping[str, Any]]
    queued: int
    """Contested images in the whole queue."""
    suspects: Sequence[Mapping[str, Any]]
    trends: str
    """The trend of the slices, a data URI; "": none is drawn yet."""
    parts: Sequence[Markup] = ()
    """Further parts as finished HTML, at the end."""


def write_page(path: Path, page: Page) -> None:
    """Write the page; names out of the data are shown as text, whatever they contain."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((files("datalab.adapters") / "templates" / "round.html.j2").read_text("utf-8"))
    write_text(path, template.render(page=page))


def heat_picture(image: Rgb, shares: npt.NDArray[np.floating]) -> str:
    """`image` (H, W, 3) in grey with `shares` (H, W) in [0, 1] in red over it, as a data URI."""
    small = _shrink(image)
    size = (small.shape[1], small.shape[0])
    opacity = STRONGEST * cv2.resize(shares.astype(np.float32), size, interpolation=cv2.INTER_AREA)[..., None]
    grey = np.repeat(small.mean(axis=2, keepdims=True), 3, axis=2) * 0.6 + 90
    return _data_uri((grey * (1 - opacity) + HEAT * opacity).astype(np.uint8))


def outline_picture(image: Rgb, people: Sequence[Sequence[BoolMask]]) -> str:
    """`image` (H, W, 3) with the outlines of everybody's masks (H, W) in that person's colour, as a data URI."""
    canvas = _shrink(image).copy()
    scale = np.divide(canvas.shape[1::-1], image.shape[1::-1])
    for place, masks in enumerate(people):
        color = _rgb(COLORS[place % len(COLORS)])
        for mask in masks:
            # found at full size: of a shrunk mask small objects are gone
            outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
            cv2.drawContours(canvas, [(outline * scale).astype(np.int32) for outline in outlines], -1, color, 2)
    return _data_uri(canvas)


def crop_picture(image: Rgb, box_xywh: tuple[int, int, int, int]) -> str:
    """The box and as much again around it, the box outlined, as a data URI."""
    x, y, width, height = box_xywh
    margin = max(width, height, 8) // 2
    top, left = max(0, y - margin), max(0, x - margin)
    cut = image[top : y + height + margin, left : x + width + margin]
    # shrunk first: a line of one pixel would not outlast it
    small = _shrink(cut).copy()
    scale = np.divide(small.shape[1::-1], cut.shape[1::-1])
    first = np.rint((x - left, y - top) * scale).astype(int)
    last = np.maximum(first, np.rint((x - left + width, y - top + height) * scale).astype(int) - 1)
    # dark outside of white: one of them is seen on any ground
    cv2.rectangle(small, (first - 1).tolist(), (last + 1).tolist(), (0, 0, 0), 1)
    cv2.rectangle(small, first.tolist(), last.tolist(), (255, 255, 255), 1)
    return _data_uri(small)


def png_uri(content: bytes) -> str:
    """A PNG file as a data URI."""
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def _shrink(image: Rgb) -> Rgb:
    height, width = image.shape[:2]
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _rgb(color: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(color[1:])
    return red, green, blue


def _data_uri(image: Rgb) -> str:
    _, content = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), JPEG)
    return "data:image/jpeg;base64," + base64.b64encode(content.tobytes()).decode("ascii")
