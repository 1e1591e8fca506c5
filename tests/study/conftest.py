"""A small workload, small studies of it, and scripted lanes that need no training."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from study.config.study import ResolvedStudy
from study.engine.networks.training import load
from workloads.registry import resolve

BLOBS = Path(__file__).parents[1] / "blobs.py"
KINDS = {
    "plain": "Blobs",
    "batch norm": "BatchNormBlobs",
    "dropout": "DropoutBlobs",
    "smoothed": "SmoothedBlobs",
    "measured": "MeasuredBlobs",
}


@pytest.fixture
def training():
    """Return a function that loads a workload: of `KINDS`."""
    return lambda kind="plain": load(resolve(f"{BLOBS}:{KINDS[kind]}"), torch.device("cpu"))


@pytest.fixture(scope="session")
def shared_training():
    """Return the same, with each workload loaded once, so that tests share its traces."""
    return cache(lambda kind="plain": load(resolve(f"{BLOBS}:{KINDS[kind]}"), torch.device("cpu")))


@pytest.fixture(scope="session")
def make_study():
    """Return a function that makes a resolved study of the workload; keywords change its keys."""

    def make(**changes):
        search = {
            "sampler": "halton",
            "trials": 6,
            "space": {
                "lr": {"low": 1e-3, "high": 1.0, "scale": "log"},
                "momentum": {"low": 0.0, "high": 0.99, "scale": "reverse-log"},
            },
        }
        race = {"target": 0.1, "max_steps": 200, "cohort": {"lanes": 4}}
        compute = {"mode": "packed", "pack": {"lanes": 4}}
        replicates = {"seeds": 0} | changes.pop("replicates", {})
        data = {
            "workload": "blobs",
            "batch_sizes": [4, 16],
            "examples": 90,
            "adaptive": False,
            "search": search | changes.pop("search", {}),
            "race": race | changes.pop("race", {}),
            "compute": compute | changes.pop("compute", {}),
            "replicates": replicates,
        }
        return ResolvedStudy.model_validate(data | changes)

    return make


class ScriptedLanes:
    """Lanes whose errors are given functions of the step."""

    def __init__(self, errors):
        self.errors = list(errors)
        self.step = 0
        self.lane_steps = 0

    def advance(self, steps):
        self.step += steps
        self.lane_steps += steps * len(self.errors)
        return self.measure()[0]

    def measure(self):
        values = np.array([error(self.step) for error in self.errors])
        return values, values

    def keep(self, lanes):
        self.errors = [e for e, kept in zip(self.errors, lanes, strict=True) if kept]


@pytest.fixture
def scripted():
    """Return the class of lanes whose errors are functions of the step."""
    return ScriptedLanes
