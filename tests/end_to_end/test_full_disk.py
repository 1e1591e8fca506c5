"""A disk that fills up while a sweep runs."""

import subprocess

import pyarrow.parquet as pq
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.long]

WIDTH = ("--workers", 2, "--set", "search.trials=64")


@pytest.fixture
def disk(place):
    """Return what sets the size of the disk that holds the folder `results`."""

    def mount(*options):
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", "results"]
        return subprocess.run(
            command, cwd=place.folder, capture_output=True, check=False, timeout=30
        )

    (place.folder / "results").mkdir()
    if mount("size=300k").returncode:
        pytest.skip("mounting a disk takes the rights to do so")
    yield lambda size: mount("remount", f"size={size}").check_returncode()
    subprocess.run(["umount", "--lazy", "results"], cwd=place.folder, check=True, timeout=30)


def test_a_disk_that_fills_up_stops_the_sweep_and_costs_nothing_recorded(place, disk):
    code, out, err = place.run("sweep", "study.toml", *WIDTH)
    assert code == 1, err
    assert "the sweep stopped: the results folder must be writable" in out
    assert "No space left on device; free some space" in out
    assert "Traceback" not in out + err
    assert "ERROR" not in err
    folder = place.folder / "results" / "study"
    recorded = {path: path.stat().st_mtime_ns for path in folder.glob("parts/b*.parquet")}
    assert 0 < len(recorded) < 64
    assert f"{4 * len(recorded)} trials recorded, 0 failed" in out
    assert all(pq.read_table(path).num_rows == 4 for path in recorded)
    assert not list(folder.glob("**/.*.tmp"))
    disk("20m")
    code, _, err = place.run("sweep", "study.toml", *WIDTH)
    assert code == 0, err
    assert all(path.stat().st_mtime_ns == then for path, then in recorded.items())
    place.assert_same_bytes("results", place.alone("whole", *WIDTH[3::2]))
