import numpy as np
import numpy.typing as npt
import pytest

from datalab.learning.corruptions import (
    CORRUPTIONS,
    SEVERITIES,
    blur,
    brightness,
    contrast,
    corrupt,
    darkness,
    fog,
    noise,
)


@pytest.fixture
def pixels() -> npt.NDArray[np.uint8]:
    """A dark left and a light right half with a little texture, 120 x 168."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 30, (120, 168, 3))
    image[:, 84:] += 150
    return image.astype(np.uint8)


def change(before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]) -> float:
    return float(np.abs(before.astype(int) - after.astype(int)).mean())


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_worse_with_severity_and_the_same_for_the_same_seed(pixels: npt.NDArray[np.uint8], kind: str) -> None:
    kept = pixels.copy()
    made = [corrupt(pixels, kind, severity, np.random.default_rng(5)) for severity in (0, *SEVERITIES)]
    distances = [change(pixels, one) for one in made]
    assert distances[0] == 0
    assert distances == sorted(set(distances))
    assert all(one.shape == pixels.shape and one.dtype == np.uint8 for one in made)
    np.testing.assert_array_equal(made[3], corrupt(pixels, kind, 3, np.random.default_rng(5)))
    np.testing.assert_array_equal(pixels, kept)


@pytest.mark.parametrize("kind", CORRUPTIONS)
@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("shape", [(1, 1), (7, 300)])
def test_black_white_and_narrow_images_do_no_harm(kind: str, value: int, shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), value, dtype=np.uint8)
    assert corrupt(image, kind, 3, np.random.default_rng(0)).shape == image.shape


def test_noise_has_the_given_deviation() -> None:
    grey = np.full((200, 200, 3), 0.5, dtype=np.float32)
    assert float((noise(grey, 0.08, np.random.default_rng(0)) - grey).std()) == pytest.approx(0.08, rel=0.02)


def test_blur_of_a_point_keeps_its_light_and_has_the_given_width() -> None:
    light = np.zeros((101, 101, 3), dtype=np.float32)
    light[50, 50] = 1
    spread = blur(light, 3 / 101, np.random.default_rng(0))[:, :, 0]
    assert float(spread.sum()) == pytest.approx(1, abs=1e-3)
    places = np.arange(101) - 50
    assert float(np.sqrt((spread.sum(axis=0) * places**2).sum())) == pytest.approx(3, rel=0.02)


def test_hand_typed_brightness_and_contrast() -> None:
    rng = np.random.default_rng(0)
    light = np.array([[[0.4, 0.2, 0.0], [0.0, 0.0, 0.0]]], dtype=np.float32)
    np.testing.assert_allclose(brightness(light, 0.2, rng), [[[0.6, 0.3, 0], [0.2, 0.2, 0.2]]], atol=1e-6)
    np.testing.assert_allclose(contrast(light, 0.5, rng), [[[0.3, 0.15, 0], [0.1, 0.05, 0]]], atol=1e-6)


def test_hand_typed_darkness() -> None:
    """Of 2.2 stops half of the value is left, of two a quarter of the light."""
    rng = np.random.default_rng(0)
    light = np.array([[[0.4, 0.2, 0.0], [1.0, 1.0, 1.0]]], dtype=np.float32)
    np.testing.assert_allclose(darkness(light, 2.2, rng), light / 2, atol=1e-6)
    np.testing.assert_allclose(darkness(light, 2, rng) ** 2.2, light**2.2 / 4, atol=1e-6)
    pixels = np.array([[[200, 100, 0]]], dtype=np.uint8)
    assert [corrupt(pixels, "darkness", severity, rng)[0, 0].tolist() for severity in SEVERITIES] == [
        [125, 62, 0],
        [78, 39, 0],
        [41, 21, 0],
    ]


def test_fog_lightens_the_dark_and_keeps_the_brightest() -> None:
    light = np.zeros((64, 96, 3), dtype=np.float32)
    light[:, 48:] = 0.8
    misty = fog(light, 1.5, np.random.default_rng(0))
    assert misty[:, :48].mean() > 0.1
    assert misty[:, :48].mean() < misty[:, 48:].mean()
    assert float(misty.max()) <= 0.8 + 1e-6
    other = fog(light, 1.5, np.random.default_rng(1))
    assert not np.allclose(misty, other)


def test_blur_is_of_the_longest_side_and_mixes_no_colours() -> None:
    light = np.zeros((21, 101, 3), dtype=np.float32)
    light[:, 50, 0] = 1
    found = blur(light, 3 / 101, np.random.default_rng(0))
    assert not found[..., 1:].any()
    places = np.arange(101) - 50
    deviation = np.sqrt((found[10, :, 0] * places**2).sum() / found[10, :, 0].sum())
    assert deviation == pytest.approx(3, abs=0.05)
