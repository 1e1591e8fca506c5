"""`sweep --track`: trials are shown; what is wrong with a tracker is said before anything runs."""

from pathlib import Path

import pytest

from tests.study.conftest import BLOBS

STUDY = f"""
workload = "{BLOBS}:Blobs"
batch_sizes = [8]
search.trials = 2
race.max_steps = 40
replicates.seeds = 0
"""


@pytest.mark.slow
def test_a_sweep_shows_its_trials(passed):
    Path("mine.toml").write_text(STUDY)
    arguments = ("sweep", "mine.toml", "--workers", "1", "--track", "tensorboard")
    out = passed(*arguments)
    assert "nothing more was tracked" not in out
    runs = {path.name for path in Path("results/mine/tensorboard").iterdir()}
    assert {"B8-search-0", "B8-search-1"} <= runs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--track", "tensorbord"], "did you mean 'tensorboard'"),
        (["--track", "tensorboard", "--track-by", "size"], "--track-by must be one of trial, batc"),
    ],
)
def test_an_unknown_tracker_is_refused_first(refused, arguments, message):
    Path("mine.toml").write_text(STUDY)
    assert message in refused("sweep", "mine.toml", *arguments)
    assert not Path("results").exists()
