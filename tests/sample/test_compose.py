"""Scenes: exact masks, objects in one piece, and chance decided by the generator alone."""

import cv2
import numpy as np
import pytest

from datalab.errors import InputError
from datalab.sample import photographs
from datalab.sample.compose import CLASS_IDS, COUNTS, SHARES, Scene, compose
from datalab.sample.cutouts import COINS, cutouts
from datalab.sample.photographs import GROUNDS, HEIGHT, WIDTH, background


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [compose(np.random.default_rng([7, number])) for number in range(24)]


def components(scene: Scene) -> int:
    return sum(cv2.connectedComponents((scene.label_map == value).astype(np.uint8))[0] - 1 for value in (1, 2, 3))


def test_probabilities_sum_to_one() -> None:
    assert sum(COUNTS) == pytest.approx(1)
    assert sum(SHARES.values()) == pytest.approx(1)


def test_components_are_the_objects(scenes: list[Scene]) -> None:
    assert [components(scene) for scene in scenes] == [scene.objects for scene in scenes]


def test_every_class_and_empty_images_occur(scenes: list[Scene]) -> None:
    assert set(np.unique([scene.label_map for scene in scenes])) == {0, *CLASS_IDS.values()}
    assert {0, 1} <= {scene.objects for scene in scenes}


def test_shapes_and_types(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert scene.pixels.shape == (HEIGHT, WIDTH, 3)
        assert scene.label_map.shape == (HEIGHT, WIDTH)
        assert scene.pixels.dtype == scene.label_map.dtype == np.uint8
        assert scene.pixels.std() > 5


def test_same_generator_same_scene(scenes: list[Scene]) -> None:
    again = compose(np.random.default_rng([7, 5]))
    assert (again.pixels == scenes[5].pixels).all()
    assert (again.label_map == scenes[5].label_map).all()


def test_coins_are_round_and_whole() -> None:
    coins = cutouts()["coin"]
    assert len(coins) == len(COINS) == 24
    for coin, (_, _, radius) in zip(coins, COINS, strict=True):
        area = float((coin.alpha >= 0.5).sum())
        assert 0.7 < area / (np.pi * radius**2) < 1.3
        edge = np.concatenate([coin.alpha[0], coin.alpha[-1], coin.alpha[:, 0], coin.alpha[:, -1]])
        assert edge.max() < 0.5


def test_alpha_lies_between_0_and_1() -> None:
    for kinds in cutouts().values():
        for item in kinds:
            assert item.alpha.shape == item.rgb.shape[:2]
            assert item.alpha.min() >= 0
            assert item.alpha.max() == pytest.approx(1)


def test_every_background_fills_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    for ground in GROUNDS:
        monkeypatch.setattr(photographs, "GROUNDS", (ground,))
        rgb = background(np.random.default_rng(1))
        assert rgb.shape == (HEIGHT, WIDTH, 3)
        assert rgb.min() >= 0
        assert rgb.max() <= 1


def test_a_photograph_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"carries no none\.png"):
        photographs.photograph("none.png")
