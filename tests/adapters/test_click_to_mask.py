"""Clicks on real files with the small SAM: what is encoded, what may be read, what is said."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from segment_anything.modeling import Sam

from datalab.adapters import click_to_mask
from datalab.adapters.click_to_mask import ClickToMask
from datalab.adapters.embedding_cache import EmbeddingCache, image_hash
from datalab.adapters.files import read_rgb
from datalab.adapters.label_studio.click import Asked, ClickRequest
from datalab.adapters.sam import load_sam
from datalab.adapters.sam_prompt import Prompt
from datalab.errors import InputError

MOST_PIXELS = 60_000_000

HEIGHT, WIDTH = 60, 90


@pytest.fixture(scope="module")
def sam() -> Sam:
    return load_sam("small")


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media" / "tiles"
    folder.mkdir(parents=True)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    disk = np.hypot(y - 30, x - 40) < 18
    for name, color in (("a", [200, 60, 40]), ("b", [40, 60, 200])):
        picture = np.where(disk[..., None], color, [90, 110, 120]).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{name}.png")
    return tmp_path / "media"


@pytest.fixture
def clicks(sam: Sam, media: Path, tmp_path: Path) -> ClickToMask:
    return ClickToMask(sam, "sam-small-test", EmbeddingCache(tmp_path / "cache"), media, MOST_PIXELS)


def click(name: str = "tiles/a.png", x: float = 40, height: int = HEIGHT, width: int = WIDTH) -> ClickRequest:
    asked = Asked("sam-k1", "cup", Prompt(((x, 30, True),)))
    return ClickRequest(f"/data/local-files/?d={name}", height, width, (asked,))


def test_one_encoding_per_image_and_none_per_click(clicks: ClickToMask) -> None:
    for x in (40, 42, 38):
        ((asked, mask, score),) = clicks.masks(click(x=x))
        assert (asked.region_id, mask.shape) == ("sam-k1", (HEIGHT, WIDTH))
        assert mask[30, 40]
        assert 0 <= score <= 1
    assert clicks.encoded == 1
    clicks.masks(click("tiles/b.png"))
    clicks.masks(click())
    assert clicks.encoded == 2


def test_a_box_is_looked_at_enlarged_and_its_mask_lies_where_the_box_does(clicks: ClickToMask) -> None:
    asked = Asked("sam-b1", "cup", Prompt(box=(22.0, 12, 58, 48)))
    ((_, mask, score),) = clicks.masks(ClickRequest("/data/local-files/?d=tiles/a.png", HEIGHT, WIDTH, (asked,)))
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    disk = np.hypot(y - 30, x - 40) < 18
    assert (mask & disk).sum() / (mask | disk).sum() > 0.85
    assert 0 <= score <= 1
    assert clicks.encoded == 0


def test_a_photograph_is_read_once_for_all_boxes_of_a_request(
    clicks: ClickToMask, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def counted(path: Path) -> Any:
        read.append(path)
        return read_rgb(path)

    monkeypatch.setattr(click_to_mask, "read_rgb", counted)
    boxes = [Asked(f"r{n}", "disc", Prompt(box=(n, n, 60 + n, 60 + n))) for n in range(3)]
    clicks.masks(replace(click(), asked=tuple(boxes)))
    assert len(read) == 1


def test_the_head_of_an_image_is_read_once(clicks: ClickToMask, media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    real = Image.open

    def counted(path: Path) -> Image.Image:
        opened.append(path)
        return real(path)

    clicks.masks(click())
    restarted = ClickToMask(clicks.sam, "sam-small-test", clicks.cache, media, MOST_PIXELS)
    monkeypatch.setattr(Image, "open", counted)
    for x in (40, 42):
        assert restarted.encoding(click(x=x)) is None
        restarted.masks(click(x=x))
    assert len(opened) == 1
    Image.new("RGB", (WIDTH, HEIGHT + 1)).save(media / "tiles" / "a.png")
    with pytest.raises(InputError, match="has 90 x 61 pixels"):
        restarted.masks(click())


def test_another_box_on_the_last_photograph_reads_nothing(
    clicks: ClickToMask, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def counted(path: Path) -> Any:
        read.append(path.stem)
        return read_rgb(path)

    monkeypatch.setattr(click_to_mask, "read_rgb", counted)
    box = (Asked("r", "disc", Prompt(box=(22.0, 12, 58, 48))),)
    for name in ("a", "a", "b", "a"):
        clicks.masks(replace(click(f"tiles/{name}.png"), asked=box))
    Image.open(media / "tiles" / "b.png").save(media / "tiles" / "a.png")
    clicks.masks(replace(click(), asked=box))
    assert read == ["a", "b", "a", "a"]


def test_an_image_in_the_cache_does_not_wait_for_anothers_encoding(
    clicks: ClickToMask, monkeypatch: pytest.MonkeyPatch
) -> None:
    clicks.masks(click())
    go_on = threading.Event()
    monkeypatch.setattr(click_to_mask, "read_rgb", lambda path: go_on.wait(20) and read_rgb(path))
    waited_for = [clicks.encoding(click("tiles/b.png")) for _ in range(2)]
    box = Asked("r", "disc", Prompt(box=(22.0, 12, 58, 48)))
    try:
        assert clicks.encoding(click()) is None
        assert clicks.encoding(replace(click("tiles/b.png"), asked=(box,))) is None
        clicks.masks(click())
        assert waited_for[0] is not None
        assert waited_for[0] is waited_for[1]
        assert not waited_for[0].done()
    finally:
        go_on.set()
    clicks.masks(click("tiles/b.png"))
    assert clicks.encoded == 2
    assert clicks.encoding(click("tiles/b.png")) is None


def test_an_encoding_that_failed_is_tried_again(clicks: ClickToMask, media: Path) -> None:
    whole = (media / "tiles" / "a.png").read_bytes()
    (media / "tiles" / "a.png").write_bytes(whole[: len(whole) // 2])
    failed = clicks.encoding(click())
    assert failed is not None
    assert isinstance(failed.exception(), InputError)
    (media / "tiles" / "a.png").write_bytes(whole)
    clicks.masks(click())
    assert clicks.encoded == 2


def test_what_was_used_last_is_known_longest(clicks: ClickToMask, media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []

    def counted(path: Path) -> str:
        hashed.append(path.stem)
        return image_hash(path)

    monkeypatch.setattr(click_to_mask, "image_hash", counted)
    monkeypatch.setattr(click_to_mask, "KEPT", 2)
    Image.new("RGB", (WIDTH, HEIGHT)).save(media / "tiles" / "c.png")
    monkeypatch.setattr(click_to_mask, "mask_at", lambda *_: (np.ones((HEIGHT, WIDTH), dtype=bool), 0.9))
    for name in "abaca":
        clicks.masks(click(f"tiles/{name}.png"))
    assert hashed == [*"aabbcc"], "once to look for it, once to encode it"


def test_after_a_restart_nothing_is_encoded_again(clicks: ClickToMask, sam: Sam, media: Path) -> None:
    ((_, before, _),) = clicks.masks(click())
    restarted = ClickToMask(sam, "sam-small-test", clicks.cache, media, MOST_PIXELS)
    ((_, after, _),) = restarted.masks(click())
    assert restarted.encoded == 0
    np.testing.assert_array_equal(after, before)


def test_another_picture_under_the_same_name_is_encoded(clicks: ClickToMask, media: Path) -> None:
    clicks.masks(click())
    Image.open(media / "tiles" / "b.png").save(media / "tiles" / "a.png")
    clicks.masks(click())
    assert clicks.encoded == 2


def test_people_who_click_at_the_same_time_cause_one_encoding(clicks: ClickToMask) -> None:
    threads = [threading.Thread(target=clicks.masks, args=(click(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clicks.encoded == 1


@pytest.mark.parametrize(
    "address",
    [
        "tiles/no.png",
        "tiles",
        "",
        "../secret.png",
        "tiles/../../secret.png",
        "%2e%2e/secret.png",
        "{outside}/secret.png",
        "tiles/link.png",
        "tiles/zero%00.png",
        "x" * 5000,
    ],
)
def test_no_path_leaves_the_media_folder(clicks: ClickToMask, media: Path, address: str) -> None:
    secret = media.parent / "secret.png"
    Image.new("RGB", (WIDTH, HEIGHT)).save(secret)
    (media / "tiles" / "link.png").symlink_to(secret)
    with pytest.raises(InputError, match=r"is not there|none that datalab published") as caught:
        clicks.masks(click(address.format(outside=media.parent)))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "image",
    [
        "http://127.0.0.1:1/data/local-files/?d=tiles/a.png",
        "//host/data/local-files/?d=tiles/a.png",
        "file:///etc/passwd",
        "/data/upload/1/a.png",
        "/data/local-files/?d=tiles/a.png&d=tiles/b.png",
        "/data/local-files/",
        "",
    ],
)
def test_only_published_images_are_looked_at(clicks: ClickToMask, image: str) -> None:
    asked = click().asked
    with pytest.raises(InputError, match="none that datalab published"):
        clicks.masks(ClickRequest(image, HEIGHT, WIDTH, asked))


def test_a_damaged_image_is_told(clicks: ClickToMask, media: Path) -> None:
    whole = (media / "tiles" / "a.png").read_bytes()
    for name, content in (("head.png", b"no image"), ("empty.png", b""), ("cut.png", whole[: len(whole) // 2])):
        (media / "tiles" / name).write_bytes(content)
        told = f"^the image {name} cannot be read; it is damaged or no image$"
        for prompt in (Prompt(((40, 30, True),)), Prompt(box=(22.0, 12, 58, 48))):
            with pytest.raises(InputError, match=told) as caught:
                clicks.masks(replace(click(f"tiles/{name}"), asked=(Asked("r", "cup", prompt),)))
            assert str(media) in str(caught.value.__cause__)
    assert not list(clicks.cache.root.rglob("*.npy"))


def test_another_size_than_on_the_screen_is_told(clicks: ClickToMask) -> None:
    with pytest.raises(
        InputError, match="has 90 x 60 pixels and the labeling screen shows 60 x 90; load the page again"
    ):
        clicks.masks(click(height=WIDTH, width=HEIGHT))


def test_an_image_too_large_is_not_decoded(clicks: ClickToMask, media: Path) -> None:
    side = 8000
    assert side * side > MOST_PIXELS
    Image.new("1", (side, side)).save(media / "tiles" / "large.png")
    with pytest.raises(InputError, match="too large: 8000 x 8000 pixels"):
        clicks.masks(click("tiles/large.png", height=side, width=side))


def test_nothing_found_is_told(clicks: ClickToMask, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = np.zeros((HEIGHT, WIDTH), dtype=bool)
    monkeypatch.setattr("datalab.adapters.click_to_mask.mask_at", lambda *_: (empty, 0.1))
    with pytest.raises(InputError, match="nothing was found there"):
        clicks.masks(click())
