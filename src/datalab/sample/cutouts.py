"""Objects cut out of the photographs: outlines typed by hand, then fitted to the edges by code."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from datalab.sample.photographs import photograph

Alpha = npt.NDArray[np.float32]
"""(H, W), 0 outside to 1 inside, soft over about two pixels."""

COINS = (
    *((44, 55, 22), (100, 56, 20), (155, 51, 24), (215, 51, 24), (275, 52, 21), (334, 44, 31)),
    *((45, 124, 22), (102, 126, 20), (153, 127, 20), (205, 125, 21), (270, 120, 26), (336, 125, 21)),
    *((44, 197, 20), (101, 194, 23), (155, 198, 20), (212, 194, 25), (274, 194, 24), (347, 187, 33)),
    *((46, 260, 29), (114, 266, 23), (172, 262, 30), (244, 264, 25), (300, 262, 27), (358, 268, 24)),
)
"""Centre x, y and radius of each coin in coins.png."""

# outlines in pixels x, y of their photograph
RIM = (
    *((404, 112), (403, 95), (395, 72), (380, 52), (355, 34), (325, 23), (285, 18), (250, 22), (220, 33), (198, 50)),
    *((183, 71), (175, 90), (173, 110)),
)
CUP_WITH_SAUCER = (
    *RIM[2:11],
    *((150, 88), (120, 115), (97, 150), (82, 190), (77, 215), (80, 245), (90, 275), (110, 310), (140, 340)),
    *((180, 365), (220, 380), (260, 387), (300, 389), (340, 385), (380, 373), (420, 350), (450, 318), (468, 285)),
    *(
        (477, 250),
        (479, 220),
        (474, 185),
        (462, 155),
        (445, 127),
        (420, 103),
        (424, 78),
        (420, 70),
        (410, 67),
        (400, 70),
    ),
)
CUP_ALONE = (
    *RIM,
    *((174, 135), (180, 165), (192, 198), (206, 222), (217, 234), (206, 246), (198, 268), (197, 285), (202, 300)),
    *((214, 306), (226, 304), (236, 292), (247, 277), (258, 280), (282, 285), (305, 284), (322, 278), (334, 264)),
    *((352, 246), (368, 228), (382, 203), (394, 172), (401, 142)),
)
ASTRONAUT = (
    *((22, 512), (24, 460), (22, 420), (24, 370), (28, 330), (38, 295), (42, 275), (55, 255), (75, 238), (100, 220)),
    *((116, 205), (115, 190), (122, 180), (130, 165), (145, 155), (165, 149), (184, 150), (183, 132), (172, 127)),
    *((165, 108), (156, 95), (153, 72), (160, 55), (175, 42), (195, 30), (215, 20), (235, 16), (260, 20), (280, 32)),
    *((293, 50), (300, 72), (301, 95), (293, 115), (280, 130), (271, 135), (262, 150), (256, 170), (270, 183)),
    *((287, 198), (300, 220), (304, 238), (318, 245), (335, 258), (345, 275), (352, 300), (358, 330), (362, 348)),
    *((380, 345), (400, 344), (425, 347), (450, 357), (470, 375), (485, 400), (493, 430), (500, 455), (508, 470)),
    *((512, 480), (512, 512)),
)
CAMERAMAN = (
    *((0, 258), (12, 235), (28, 218), (35, 200), (45, 190), (55, 172), (65, 155), (75, 142), (95, 130), (115, 125)),
    *((130, 123), (140, 112), (152, 106), (162, 107), (163, 95), (172, 80), (185, 70), (200, 64), (220, 66), (235, 72)),
    *((250, 82), (262, 95), (270, 110), (271, 122), (262, 130), (258, 138), (253, 142), (275, 140), (310, 139)),
    *((325, 140), (325, 152), (318, 155), (320, 168), (328, 168), (332, 180), (332, 195), (325, 215), (315, 228)),
    *((302, 232), (288, 240), (290, 255), (303, 262), (304, 273), (290, 287), (270, 300), (250, 311), (240, 313)),
    *((220, 305), (207, 295), (190, 320), (170, 345), (150, 370), (142, 382), (146, 420), (150, 460), (150, 512)),
    *((140, 500), (125, 470), (110, 455), (100, 447), (96, 470), (92, 500), (90, 512), (0, 512)),
)


@dataclass(frozen=True)
class Cutout:
    """One object: `rgb` (H, W, 3) 0 to 1 and `alpha` (H, W); `cut_off` names the sides that its photograph ended at."""

    label: str
    rgb: npt.NDArray[np.float32]
    alpha: Alpha
    cut_off: frozenset[str] = frozenset()


@cache
def cutouts() -> dict[str, tuple[Cutout, ...]]:
    """Class name -> its objects: 24 coins, a cup with and without its saucer, two persons."""
    return {
        "coin": tuple(_coin(*coin) for coin in COINS),
        "cup": (_outlined("cup", "coffee.png", CUP_WITH_SAUCER, 6), _outlined("cup", "coffee.png", CUP_ALONE, 0)),
        "person": (
            _outlined("person", "astronaut.png", ASTRONAUT, 6, frozenset({"bottom"})),
            _outlined("person", "camera.png", CAMERAMAN, 5, frozenset({"bottom", "left"})),
        ),
    }


def _coin(x: int, y: int, radius: int) -> Cutout:
    """Coins are lighter than the cloth under them and bulge outwards: Otsu's threshold, then the convex hull."""
    photo = photograph("coins.png")
    reach = round(radius * 1.25)
    top, left = max(0, y - reach), max(0, x - reach)
    rgb = photo[top : y + reach, left : x + reach]
    grey = cv2.GaussianBlur((rgb[..., 0] * 255).astype(np.uint8), (0, 0), 1.2)
    _, light = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    contours, _ = cv2.findContours(light, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.convexHull(max(contours, key=cv2.contourArea))
    return _tight("coin", rgb, _filled(hull, light.shape), frozenset())


def _outlined(
    label: str, name: str, outline: tuple[tuple[int, int], ...], band: int, cut_off: frozenset[str] = frozenset()
) -> Cutout:
    """A typed outline; within `band` pixels of it GrabCut decides (0: the outline stands)."""
    photo = photograph(name)
    inside = _filled(np.array(outline, np.int32), photo.shape[:2])
    if band:
        inside = _fitted((photo * 255).astype(np.uint8), inside, band)
    return _tight(label, photo, inside, cut_off)


def _filled(outline: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """(H, W), 1 inside the outline (N, 2) of x, y, else 0."""
    canvas = np.zeros(shape, np.uint8)
    cv2.fillPoly(canvas, [outline], 1)
    return canvas


def _fitted(photo: npt.NDArray[np.uint8], inside: npt.NDArray[np.uint8], band: int) -> npt.NDArray[np.uint8]:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * band + 1, 2 * band + 1))
    # beyond the photograph's border the object goes on
    core = cv2.erode(inside, kernel, borderType=cv2.BORDER_REPLICATE)
    around = cv2.dilate(inside, kernel)
    trimap = np.where(around == 0, cv2.GC_BGD, np.where(inside, cv2.GC_PR_FGD, cv2.GC_PR_BGD)).astype(np.uint8)
    trimap[core == 1] = cv2.GC_FGD
    cv2.setRNGSeed(1)  # GrabCut starts its colour clusters at random
    cv2.grabCut(photo, trimap, (0, 0, 0, 0), np.zeros((1, 65)), np.zeros((1, 65)), 4, cv2.GC_INIT_WITH_MASK)
    fitted = np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    soft = cv2.GaussianBlur(fitted.astype(np.float32), (0, 0), 2.0, borderType=cv2.BORDER_REPLICATE)
    smooth = (soft >= 0.5).astype(np.uint8)
    _, numbers, statistics, _ = cv2.connectedComponentsWithStats(smooth)
    largest = 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())
    return np.asarray(numbers == largest, dtype=np.uint8)


def _tight(label: str, rgb: npt.NDArray[np.float32], inside: npt.NDArray[np.uint8], cut_off: frozenset[str]) -> Cutout:
    """Cropped to the object, with a margin of 2 pixels for the soft edge on the sides where it is whole."""
    soft: Alpha = np.asarray(
        cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 0.8, borderType=cv2.BORDER_REPLICATE), np.float32
    )
    x, y, width, height = cv2.boundingRect(inside)
    rows, columns = slice(max(0, y - 2), y + height + 2), slice(max(0, x - 2), x + width + 2)
    return Cutout(label, rgb[rows, columns], soft[rows, columns], cut_off)
