"""One file, several studies, by the real command."""

import pandas as pd
import pytest

pytestmark = pytest.mark.slow

GRID = """
[grid]
workload = ["blobs.py:Blobs", "blobs.py:BatchNormBlobs"]
"""
NAMES = ("workload-Blobs", "workload-BatchNormBlobs")


@pytest.fixture
def grid_place(place):
    """Return a folder whose study.toml makes two studies of plug-ins."""
    text = (place.folder / "study.toml").read_text().replace('workload = "blobs.py:Blobs"\n', "")
    (place.folder / "study.toml").write_text(text + GRID)
    return place


@pytest.mark.long
def test_a_grid_runs_goes_on_and_costs_nothing_when_complete(grid_place):
    few = ("--set", "batch_sizes=[16, 90]", "--set", "search.trials=4")
    code, out, err = grid_place.run("sweep", "study.toml", *few)
    assert code == 0, err
    assert "study 1 of 2: workload-Blobs\n" in out
    assert "study 2 of 2: workload-BatchNormBlobs\n" in out
    folders = [grid_place.folder / "results" / "study" / name for name in NAMES]
    there = " ".join(f"results/study/{name}" for name in NAMES)
    assert out.endswith(f"Next: batchscale compare {there}\n")
    for folder in folders:
        assert len(pd.read_parquet(folder / "trials.parquet")) == 8

    next((folders[1] / "parts").glob("b00090*.parquet")).unlink()
    parts = {p: p.stat().st_mtime_ns for folder in folders for p in folder.glob("parts/*.parquet")}
    starts = [(folder / "provenance.json").read_bytes() for folder in folders]
    code, out, err = grid_place.run("sweep", "study.toml", *few)
    assert code == 0, err
    assert out.count("8 trials recorded, 0 failed") == 2
    assert all(path.stat().st_mtime_ns == then for path, then in parts.items())
    assert len(list(folders[1].glob("parts/*.parquet"))) == 2
    assert (folders[0] / "provenance.json").read_bytes() == starts[0]
    assert (folders[1] / "provenance.json").read_bytes() != starts[1]


@pytest.mark.long
def test_failed_trials_of_one_study_do_not_keep_the_next_from_running(grid_place):
    text = (grid_place.folder / "blobs.py").read_text()
    text = text.replace(
        "        return nn.functional.cross_entropy",
        "        large = len(batch.inputs) == 16 and type(self) is Blobs\n"
        "        if large and model.training:\n"
        "            raise RuntimeError('no sixteens today')\n"
        "        return nn.functional.cross_entropy",
    )
    (grid_place.folder / "blobs.py").write_text(text)
    few = ("--set", "batch_sizes=[4, 16]", "--set", "search.trials=2", "--set", "race.max_steps=20")
    code, out, err = grid_place.run("sweep", "study.toml", *few)
    assert code == 1, err
    assert "4 trials recorded, 2 failed" in out
    assert "4 trials recorded, 0 failed" in out
    assert "Traceback" not in err
