"""Every common form a picture comes in gives the right plain pixels, or a reason."""

import io
import struct
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image

from datalab.adapters.images_decode import NotUsableError, Picture, channel_bits, image_id_of, own_limits, read_picture
from tests.adapters.png_bytes import png

CORNERS = np.zeros((20, 30, 3), dtype=np.uint8)
CORNERS[:10, :15] = (250, 10, 20)  # top left red
LOSSLESS = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000]


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def picture(content: bytes, max_pixels: int = 10_000) -> Picture:
    with own_limits():
        return read_picture(content, max_pixels, min_side=8)


def pixels(content: bytes) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(picture(content).content)) as image:
        assert image.mode in ("L", "RGB")
        assert image.getexif().get(0x0112, 1) == 1
        return np.asarray(image)


def reason(content: bytes, max_pixels: int = 10_000) -> str:
    with pytest.raises(NotUsableError) as caught:
        picture(content, max_pixels)
    return str(caught.value)


def test_image_id_is_the_start_of_sha256() -> None:
    assert image_id_of(b"abc") == "ba7816bf8f01cfea"


@pytest.mark.parametrize(("kind", "suffix"), [("JPEG", "jpg"), ("PNG", "png")])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_plain_files_are_kept_byte_for_byte(kind: str, suffix: str, mode: str) -> None:
    content = encoded(Image.fromarray(CORNERS).convert(mode), kind)
    kept = picture(content)
    assert (kept.content, kept.suffix, kept.width, kept.height) == (content, suffix, 30, 20)
    assert len(kept.phash) == 16


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_exif_orientation_is_applied_once(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # show it turned by 90 degrees clockwise: the red corner goes to the top right
    upright = pixels(encoded(Image.fromarray(CORNERS), kind, exif=exif))
    assert upright.shape == (30, 20, 3)
    assert upright[5, 15, 0] > 200
    assert upright[5, 5, 0] < 50


def test_exif_orientation_of_16_bit_colour_with_transparency() -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    rows = b"".join(b"\0" + struct.pack(">HHHH", red, 0, 0, 65535) * 30 for red in (900,) * 10 + (0,) * 10)
    upright = pixels(png(30, 20, 16, 6, rows, (b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))))
    assert upright.shape == (30, 20, 3)
    assert upright[:, [5, 15], 0].tolist() == [[255, 0]] * 30


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_exif_orientation_of_16_bit_grey(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    upright = pixels(encoded(Image.fromarray(CORNERS[..., 0].astype(np.uint16) * 9), kind, exif=exif))
    assert upright.shape == (30, 20)
    assert upright[25, 5] == 255


def test_broken_exif_does_not_matter() -> None:
    content = encoded(Image.fromarray(CORNERS), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert picture(content).content == content


def test_16_bit_grey_is_stretched_from_its_own_range() -> None:
    values = np.full((10, 10), 1000, dtype=np.uint16)
    values[0, 0], values[0, 1] = 3000, 2000
    assert pixels(encoded(Image.fromarray(values), "PNG"))[0, :3].tolist() == [255, 128, 0]


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".ppm", ".jp2"])
def test_16_bit_colour_is_stretched_by_one_range(suffix: str) -> None:
    values = np.zeros((40, 40, 3), dtype=np.uint16)
    values[:20] = (100, 200, 500)  # OpenCV's order: blue, green, red
    plain = pixels(cv2.imencode(suffix, values, LOSSLESS)[1].tobytes())
    assert plain[0, 0].tolist() == [255, 102, 51]
    assert plain[39, 39].tolist() == [0, 0, 0]


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".jp2"])
def test_16_bit_colour_with_transparency_is_stretched_too(suffix: str) -> None:
    """From black to white among what is seen: 12-bit values were nearly black, those of a JPEG2000 all white."""
    values = np.full((40, 40, 4), 65535, dtype=np.uint16)
    values[..., :3], values[:20, :, :3] = 1000, (1000, 2000, 3000)
    values[0], values[39, :, 3] = (9, 9, 60_000, 0), 32768
    plain = pixels(cv2.imencode(suffix, values, LOSSLESS)[1].tobytes())
    assert plain[[0, 1, 20, 39], 0].tolist() == [[255, 255, 255], [255, 128, 0], [0, 0, 0], [127, 127, 127]]


def test_16_bit_grey_with_transparency_in_a_png() -> None:
    rows = [b"\0" + struct.pack(">HH", grey, alpha) * 10 for grey, alpha in ((0, 0), (3000, 65535), (1000, 65535))]
    plain = pixels(png(10, 12, 16, 4, b"".join(rows * 4)))
    assert plain[:3, 0].tolist() == [[255] * 3, [255] * 3, [0] * 3]


def test_the_transparent_colour_of_a_16_bit_png() -> None:
    rows = b"".join(b"\0" + struct.pack(">HHH", *colour) * 10 for colour in ((1, 2, 3), (500, 0, 100)) * 5)
    plain = pixels(png(10, 10, 16, 2, rows, (b"tRNS", struct.pack(">HHH", 1, 2, 3))))
    assert plain[:2, 0].tolist() == [[255, 255, 255], [255, 0, 51]]


def test_16_bit_colour_that_was_multiplied_by_its_alpha() -> None:
    values = np.full((10, 10, 4), 65535, dtype=np.uint16)
    values[:5, :, :3], values[5:] = (0, 1000, 2000), (0, 500, 1000, 32768)
    straight, multiplied = io.BytesIO(), io.BytesIO()
    tifffile.imwrite(multiplied, values, photometric="rgb", extrasamples=["assocalpha"])
    values[5:, :, :3] *= 2
    tifffile.imwrite(straight, values, photometric="rgb", extrasamples=["unassalpha"])
    assert pixels(multiplied.getvalue())[[0, 5], 0].tolist() == [[0, 128, 255], [127, 191, 255]]
    np.testing.assert_array_equal(pixels(multiplied.getvalue()), pixels(straight.getvalue()))


def test_12_bits_in_a_jpeg2000() -> None:
    """Its alpha goes from 0 to 4095. No library here writes it: the sizes are changed in a file of 16 bits."""
    values = np.full((40, 40, 4), 65535, dtype=np.uint16)
    content = bytearray(cv2.imencode(".jp2", values, LOSSLESS)[1].tobytes())
    at = content.index(b"\xff\x4f\xff\x51") + 42
    content[at : at + 12 : 3] = bytes([11] * 4)
    with Image.open(io.BytesIO(content)) as image:
        assert channel_bits(image, bytes(content)) == 12
    assert not pixels(bytes(content)).any()  # one value everywhere, fully opaque


def test_16_bit_colour_that_cannot_be_read_is_refused() -> None:
    """OpenCV wants a line's end after the last number."""
    assert "save it as a 16-bit RGB PNG" in reason(b"P3 10 10 65535" + b" 4000" * 300)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_colour_is_turned_as_8_bit_colour_is(turn: int, channels: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    shallow = pixels(encoded(Image.fromarray(CORNERS), "TIFF", exif=exif))
    opaque = np.full((*CORNERS.shape[:2], channels - 3), 255, dtype=np.uint16)
    deep = pixels(sixteen_bit_tiff(np.dstack([CORNERS, opaque]) * 257, turn))
    assert deep.shape == shallow.shape
    assert np.abs(deep.astype(int) - _full_range(shallow)).max() <= 1


def _full_range(values: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    low, high = int(values.min()), int(values.max())
    return np.round((values.astype(np.float64) - low) * 255 / (high - low)).astype(np.int64)


def sixteen_bit_tiff(values: npt.NDArray[np.uint16], turn: int) -> bytes:
    """A TIFF as OpenCV writes it, with the tag "orientation" added at the end of its directory."""
    bgr = values[..., [2, 1, 0, 3][: values.shape[2]]]
    content = bytearray(cv2.imencode(".tiff", bgr, [cv2.IMWRITE_TIFF_COMPRESSION, 1])[1].tobytes())
    assert content[:4] == b"II*\0"
    at = int.from_bytes(content[4:8], "little")
    count = int.from_bytes(content[at : at + 2], "little")
    entries = [bytes(content[at + 2 + 12 * n : at + 14 + 12 * n]) for n in range(count)]
    entries = [one for one in entries if one[:2] != b"\x12\x01"]
    entries.append(b"\x12\x01\x03\0\x01\0\0\0" + turn.to_bytes(4, "little"))
    entries.sort(key=lambda one: int.from_bytes(one[:2], "little"))
    content[4:8] = len(content).to_bytes(4, "little")
    return bytes(content) + len(entries).to_bytes(2, "little") + b"".join(entries) + bytes(4)


def test_compressed_8_bit_colour_is_kept_whatever_numbers_its_file_holds() -> None:
    """Of 60 such files some have their directory at a place whose number holds "16"."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        values = rng.integers(100, 140, (40, 60, 3), dtype=np.uint8)
        assert np.array_equal(pixels(encoded(Image.fromarray(values), "TIFF", compression="tiff_lzw")), values)


def test_floating_point_with_a_hole() -> None:
    values = np.zeros((10, 10), dtype=np.float32)
    values[0, 0], values[0, 1], values[0, 2] = 0.5, np.nan, 0.25
    assert pixels(encoded(Image.fromarray(values), "TIFF"))[0, :4].tolist() == [255, 0, 128, 0]


def test_one_value_everywhere_is_black() -> None:
    assert not pixels(encoded(Image.fromarray(np.full((10, 10), 700, dtype=np.uint16)), "PNG")).any()


def test_transparent_pixels_lie_on_white() -> None:
    rgba = np.zeros((10, 10, 4), dtype=np.uint8)
    rgba[5:] = (9, 8, 7, 255)
    plain = pixels(encoded(Image.fromarray(rgba), "PNG"))
    assert plain[0, 0].tolist() == [255, 255, 255]
    assert plain[9, 9].tolist() == [9, 8, 7]


def test_palette_and_its_transparent_colour() -> None:
    image = Image.fromarray(CORNERS).quantize(2)
    assert abs(pixels(encoded(image, "PNG"))[0, 0].astype(int) - (250, 10, 20)).max() <= 2
    assert pixels(encoded(image, "GIF", transparency=image.getpixel((0, 0))))[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize(("mode", "expected"), [("1", (20, 30)), ("LA", (20, 30)), ("CMYK", (20, 30, 3))])
def test_other_modes(mode: str, expected: tuple[int, ...]) -> None:
    assert pixels(encoded(Image.fromarray(CORNERS).convert(mode), "TIFF")).shape == expected


def test_cmyk_jpeg_keeps_its_colour() -> None:
    plain = pixels(encoded(Image.fromarray(CORNERS).convert("CMYK"), "JPEG", quality=95))
    assert plain[5, 5, 0] > 200
    assert plain[5, 5, 1] < 60


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_several_frames_are_refused(kind: str) -> None:
    frames = [Image.fromarray(np.full((20, 20, 3), value, dtype=np.uint8)) for value in (0, 200)]
    assert "more than one frame" in reason(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))


def test_main_picture_of_a_phones_multi_picture_file() -> None:
    frames = [Image.fromarray(np.full((20, 20, 3), value, dtype=np.uint8)) for value in (50, 200)]
    content = encoded(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert pixels(content)[0, 0].tolist() == [50, 50, 50]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
def test_truncated_files(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    content = encoded(Image.fromarray(noise), kind)
    assert reason(content[: len(content) // 2])


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_damaged_pixels_of_a_png_are_refused(mode: str) -> None:
    """Pillow decodes a PNG for its EXIF; what failed there was forgiven, and noise or nothing came of it."""
    rng = np.random.default_rng(0)
    content = encoded(Image.fromarray(rng.integers(0, 255, (60, 60, 3), dtype=np.uint8)).convert(mode), "PNG")
    for place in rng.integers(200, len(content) - 60, 12).tolist():
        damaged = bytearray(content)
        damaged[place : place + 40] = bytes(40)
        assert reason(bytes(damaged))


def test_planes_of_16_bit_colour_one_after_the_other() -> None:
    values = np.random.default_rng(0).integers(0, 65535, (3, 40, 50), dtype=np.uint16)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, planarconfig="separate", photometric="rgb")
    assert "in separate planes cannot be read" in reason(buffer.getvalue())
    shallow = io.BytesIO()
    tifffile.imwrite(shallow, (values >> 8).astype(np.uint8), planarconfig="separate", photometric="rgb")
    np.testing.assert_array_equal(pixels(shallow.getvalue()), (values >> 8).transpose(1, 2, 0))


def test_16_bit_grey_in_which_0_is_white() -> None:
    values = np.linspace(0, 60000, 40 * 50).reshape(40, 50).astype(np.uint16)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, photometric="miniswhite")
    shown = pixels(buffer.getvalue())
    assert (shown[0, 0], shown[-1, -1]) == (255, 0)


@pytest.mark.parametrize(("kind", "low", "high"), [("u4", 0, 4e9), ("i4", -2e9, 2e9), ("f4", -3.0, 4.0)])
def test_32_bit_grey_is_stretched_from_its_own_range(kind: str, low: float, high: float) -> None:
    values = np.linspace(low, high, 40 * 50).reshape(40, 50).astype(kind)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, photometric="minisblack")
    np.testing.assert_allclose(pixels(buffer.getvalue()).ravel(), np.linspace(0, 255, 40 * 50), atol=0.51)


def test_tiffs_that_cannot_be_read_are_refused_by_their_kind() -> None:
    ramp = np.linspace(-100, 100, 40 * 50).reshape(40, 50)
    signed, colour = io.BytesIO(), io.BytesIO()
    tifffile.imwrite(signed, ramp.astype(np.int8), photometric="minisblack")
    assert reason(signed.getvalue()) == "grey of signed 8 bits cannot be read; save it as 16-bit grey"
    tifffile.imwrite(colour, np.dstack([ramp] * 3).astype(np.float32), photometric="rgb")
    assert reason(colour.getvalue()).startswith("a TIFF of a kind that cannot be read, such as floating point colour")


def test_a_transparent_value_of_16_bit_grey_is_white() -> None:
    values = np.full((20, 20), 1000, dtype=np.uint16)
    values[:10] = 0
    values[15:] = 2000
    content = encoded(Image.fromarray(values), "PNG", transparency=0)
    assert np.unique(pixels(content)[:10]).tolist() == [255]
    assert pixels(content)[12, 0] == 128


@pytest.mark.parametrize("content", [b"", b"hello, not a picture", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_is_no_image(content: bytes) -> None:
    assert reason(content).startswith("not an image")


def test_bomb_is_seen_from_its_header() -> None:
    assert (
        reason(png(60_000, 60_000, 8, 2, b"\0" * 100))
        == "60000x60000 pixels is more than max_pixels 10000; it was not decoded"
    )


def test_a_tile_larger_than_the_picture_is_no_way_round_the_bound() -> None:
    """A tile is decoded whole: one of 28000x28000 pixels took 750 MB for a picture of 32x32."""
    values = np.zeros((32, 32), dtype=np.uint8)
    small, large = io.BytesIO(), io.BytesIO()
    tifffile.imwrite(small, values, tile=(96, 96))
    tifffile.imwrite(large, values, tile=(112, 96))
    assert picture(small.getvalue()).width == 32
    assert reason(large.getvalue()) == "a tile of 96x112 pixels is more than max_pixels 10000"


def test_a_small_side() -> None:
    assert "min_side 8" in reason(encoded(Image.new("L", (100, 7)), "PNG"))


def test_own_limits_put_pillows_back() -> None:
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(NotUsableError), own_limits():
        read_picture(b"", 1, 1)
    assert before == Image.MAX_IMAGE_PIXELS


def test_the_largest_and_the_smallest_size_are_taken() -> None:
    content = encoded(Image.fromarray(CORNERS), "PNG")
    with own_limits():
        assert read_picture(content, 600, min_side=20).width == 30
        for limits in ((599, 20), (600, 21)):
            with pytest.raises(NotUsableError):
                read_picture(content, *limits)
