import numpy as np
import pytest

from workloads.data.netpbm import read_netpbm
from workloads.errors import WorkloadError


def test_colour_is_read_past_comments(tmp_path):
    pixels = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    (tmp_path / "i.ppm").write_bytes(b"P6\n# made\n3 2\n255\n" + pixels.tobytes())
    np.testing.assert_array_equal(read_netpbm(tmp_path / "i.ppm"), pixels)


def test_grey_is_repeated_in_every_colour(tmp_path):
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    (tmp_path / "i.pgm").write_bytes(b"P5 3 2 255 " + pixels.tobytes())
    np.testing.assert_array_equal(read_netpbm(tmp_path / "i.pgm"), np.stack([pixels] * 3, axis=-1))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"P3 1 1 255 1 2 3", "must be binary"),
        (b"P5 1 1 65535 ab", "values up to 255"),
        (b"", "must be binary"),
        (b"P6 2 2 255 abc", "states, 2x2 pixels, got 3 bytes"),
        (b"P5 0 2 255 ", "states, 0x2 pixels, got 0 bytes"),
    ],
)
def test_other_forms_are_refused(tmp_path, content, message):
    (tmp_path / "i.ppm").write_bytes(content)
    with pytest.raises(WorkloadError, match=message):
        read_netpbm(tmp_path / "i.ppm")
