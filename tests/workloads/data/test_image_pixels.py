"""Images of every mode and format are read exactly or refused; damaged ones never pass."""

import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from workloads.data.image_pixels import read_pixels
from workloads.errors import WorkloadError

COLORS = np.random.default_rng(0).integers(0, 255, (12, 12, 3), dtype=np.uint8)


def chunk(kind, content):
    crc = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + crc


def png(depth, kind, values):
    """Return a 2 x 2 PNG; Pillow itself writes no colors of 16 bits."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, depth, kind, 0, 0, 0))
    rows = (b"\0" + values * 2) * 2
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def saved(image, form, **options):
    file = io.BytesIO()
    image.save(file, format=form, **options)
    return file.getvalue()


def read(content):
    return read_pixels(io.BytesIO(content), "made")


RGB = Image.fromarray(COLORS)
DEEP = {
    "gray png": png(16, 0, b"\x12\x34"),
    "gray png with alpha": png(16, 4, b"\x12\x34\xff\xff"),
    "color png": png(16, 2, b"\x12\x34" * 3),
    "color png with alpha": png(16, 6, b"\x12\x34" * 3 + b"\xff\xff"),
    "gray pgm": b"P5 2 2 65535\n" + b"\x12\x34" * 4,
    "gray pgm of 10 bits": b"P5 2 2 1023\n" + b"\x02\x34" * 4,
    "color ppm": b"P6 2 2 65535\n" + b"\x12\x34" * 12,
    "gray text": b"P2 2 2 1000\n" + b"400 " * 4,
    "color text": b"P3 2 2 65535\n" + b"4000 " * 12,
    "floats": b"Pf\n2 2\n-1.0\n" + np.ones(4, "<f4").tobytes(),
}


@pytest.mark.parametrize("content", DEEP.values(), ids=DEEP)
def test_more_than_8_bits_are_refused(content):
    with pytest.raises(WorkloadError, match="8 bits per color, got mode .* in made; convert it"):
        read(content)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA"])
def test_modes_of_8_bits_are_read_at_their_values(mode):
    image = RGB.convert(mode)
    np.testing.assert_array_equal(read(saved(image, "PNG")), np.asarray(image.convert("RGB")))


def test_further_formats_are_read():
    for form in ("BMP", "PPM"):
        np.testing.assert_array_equal(read(saved(RGB, form)), COLORS)
    np.testing.assert_array_equal(read(saved(RGB, "WEBP", lossless=True)), COLORS)
    np.testing.assert_array_equal(read(b"P5 2 2 15\n\x0f\x0f\x00\x00")[:, 0, 0], [255, 0])
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert read(saved(cmyk, "JPEG", quality=100))[0, 0] == pytest.approx([255, 0, 0], abs=4)


TRANSPARENT = {
    "alpha": saved(Image.new("RGBA", (4, 4), (9, 9, 9, 254)), "PNG"),
    "gray with alpha": saved(Image.new("LA", (4, 4), (9, 0)), "PNG"),
    "palette": saved(RGB.convert("P"), "PNG", transparency=bytes(100)),
    "one color of a palette": saved(
        RGB.convert("P"), "PNG", transparency=int(np.asarray(RGB.convert("P"))[0, 0])
    ),
    "one color": saved(Image.new("RGB", (4, 4), (1, 2, 3)), "PNG", transparency=(1, 2, 3)),
}


@pytest.mark.parametrize("content", TRANSPARENT.values(), ids=TRANSPARENT)
def test_transparent_pixels_are_refused_since_their_color_is_arbitrary(content):
    with pytest.raises(WorkloadError, match="opaque, got transparent pixels in made; save it on"):
        read(content)


def test_an_alpha_channel_without_transparent_pixels_is_ignored():
    content = saved(RGB.convert("P"), "PNG", transparency=bytes([255] * 100))
    np.testing.assert_array_equal(read(content), np.asarray(RGB.convert("P").convert("RGB")))


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_several_frames_are_refused(form):
    content = saved(RGB, form, save_all=True, append_images=[RGB.transpose(1)])
    with pytest.raises(WorkloadError, match="one frame, got 2 in made; save the one"):
        read(content)


def test_photos_with_previews_are_read():
    content = saved(RGB, "MPO", save_all=True, append_images=[RGB.transpose(1)])
    assert read(content).shape == (12, 12, 3)


def read_or_refused(content):
    """Return the colors, or None if the image is refused with a message."""
    try:
        return read(content)
    except WorkloadError as refusal:
        assert re.search("got made|in made", str(refusal))  # noqa: PT017
        return None


@pytest.mark.parametrize("form", ["BMP", "GIF", "JPEG", "PNG", "PPM", "WEBP"])
def test_a_damaged_image_is_refused_or_has_its_shape(form):
    """Truncated images never pass; only PNG has checksums that reveal other damage."""
    content = saved(RGB, form)
    whole = read(content)
    for end in range(0, len(content), 3):
        found = read_or_refused(content[:end])
        assert found is None or np.array_equal(found, whole)  # what was cut held no pixel
    for place in range(0, len(content), 7):
        changed = content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]
        found = read_or_refused(changed)
        assert found is None or found.dtype == np.uint8
        assert found is None or form != "PNG" or np.array_equal(found, whole)
