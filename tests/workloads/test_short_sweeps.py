"""Every built-in workload, and optimizers of every kind, in short sweeps by the real command."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import tomlkit

from workloads.builtin.table import BUILTIN

pytestmark = [pytest.mark.slow, pytest.mark.long]

STUDY = {
    "batch_sizes": [4, 16],
    "search": {"trials": 2},
    "race": {"max_steps": 20},
    "replicates": {"seeds": 1},
}


@pytest.fixture
def sweep(tmp_path, made_data):
    """Return a function that sweeps a study file and returns each study's trials by name."""

    def run(study):
        (tmp_path / "short.toml").write_text(tomlkit.dumps(STUDY | study))
        command = Path(sys.executable).with_name("batchscale")
        ended = subprocess.run(
            [command, "sweep", "short.toml", "--workers", "2", "--data-dir", made_data],
            cwd=tmp_path,
            env=os.environ | {"NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        folders = (tmp_path / "results" / "short").iterdir()
        return {folder.name: pd.read_parquet(folder / "trials.parquet") for folder in folders}

    return run


def test_every_built_in_workload_trains_in_a_sweep(sweep, small):
    members = [
        {"name": name, "workload": name, "workload_options": small.get(name, {})}
        for name in BUILTIN
    ]
    studies = sweep({"grid": members})
    assert set(studies) == set(BUILTIN)
    for trials in studies.values():
        searched = trials[trials["role"] == "search"]
        assert searched["batch_size"].tolist() == [4, 4, 16, 16]
        assert (trials["stopped_at"] > 0).all()
        assert searched["best_error"].notna().any()


OPTIMIZERS = ("nesterov", "lamb", "muon", "soap", "schedule-free-adamw")
"""One of each kind that the engine treats differently; `study/engine/test_lanes.py` has all."""


def test_an_optimizer_of_every_kind_trains_packed_as_it_does_looped(sweep):
    members = [
        {"name": f"{optimizer}-{lanes}", "optimizer": optimizer, "compute": {"mode": lanes}}
        for optimizer in OPTIMIZERS
        for lanes in ("packed", "looped")
    ]
    options = {"workload": "digits-mlp", "workload_options": {"hidden": [8]}}
    studies = sweep(options | {"grid": members})
    columns = ["batch_size", "role", "trial", "status", "stopped_at"]
    for optimizer in OPTIMIZERS:
        packed, looped = studies[f"{optimizer}-packed"], studies[f"{optimizer}-looped"]
        assert set(packed["mode"]) == {"packed"}
        assert set(looped["mode"]) == {"looped"}
        assert packed[columns].equals(looped[columns])
        assert packed["best_error"].to_list() == pytest.approx(looped["best_error"], abs=0.02)
