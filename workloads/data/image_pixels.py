"""The colors of an image file; images that 8-bit RGB cannot represent are refused."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from workloads.errors import WorkloadError

_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "WEBP")
_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})
"""Pillow's names of pixel formats with at most 8 bits per color."""
_PHOTO = "MPO"
"""A camera's JPEG file whose further frames are previews and depth maps of the first."""
_DEEP: Mapping[str, Callable[[Any], bool]] = {
    "PNG": lambda tile: str(tile[3]).endswith(";16B"),
    "PPM": lambda tile: tile[0].startswith("ppm") and tile[3][-1] > 255,
}
"""By format, whether a decoder's arguments mean more than 8 bits, which Pillow would cut off."""


def read_pixels(source: Path | IO[bytes], name: object) -> NDArray[np.uint8]:
    """Return an image's colors, (height, width, 3); gray images have three equal channels.

    CMYK becomes RGB as in Pillow, without a color profile. `name` stands for the image in messages.

    Raises:
        WorkloadError: it is damaged, has more than 8 bits per color, transparent pixels, or several
            frames.
    """
    try:
        with Image.open(source, formats=_FORMATS) as image:
            if image.format == "PNG":
                image.verify()  # the checksums, which decoding ignores
        if not isinstance(source, Path):
            source.seek(0)
        with Image.open(source, formats=_FORMATS) as image:
            _check(image, name)
            # through RGBA, since Pillow warns about palettes with alpha
            plain = image.convert("RGBA") if image.has_transparency_data else image
            if plain.mode == "RGBA" and plain.getchannel("A").getextrema()[0] != 255:
                # transparent pixels have arbitrary colors, and so would any background
                raise WorkloadError(
                    f"an image must be opaque, got transparent pixels in {name}; save it on a "
                    "background"
                )
            colors: NDArray[np.uint8] = np.asarray(plain.convert("RGB"))
    except WorkloadError:
        raise
    except UnidentifiedImageError as error:
        raise WorkloadError(
            f"an image must be readable, got {name}, which is none of {', '.join(_FORMATS)}; "
            "replace or remove it"
        ) from error
    except Exception as error:  # a damaged file may raise anything in Pillow
        raise WorkloadError(
            f"an image must be readable, got {name}: {error}; replace or remove it"
        ) from error
    return colors


def _check(image: ImageFile, name: object) -> None:
    is_deep = _DEEP.get(str(image.format), lambda _: False)
    if image.mode not in _MODES or any(map(is_deep, image.tile)):
        raise WorkloadError(
            f"an image must have 8 bits per color, got mode {image.mode} of more bits in {name}; "
            "convert it to 8 bits"
        )
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != _PHOTO:
        raise WorkloadError(
            f"an image must have one frame, got {frames} in {name}; save the one you want"
        )
