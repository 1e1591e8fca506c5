"""Programs of a few lines, run as a cohort in this process."""

import contextlib
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from analysis.tables.folder import ResultsFolder
from study.engine.checkpoints import Checkpoint
from study.engine.cohort import run_cohort
from study.engine.programs import trial
from study.planning.resolve import resolve
from study.records import Cohort, Point

PRELUDE = """
import json, os, signal, subprocess, sys, time

lr, steps = float(sys.argv[1]), int(sys.argv[2])


def say(step, error, **more):
    print(json.dumps({"step": step, "val_error": error, **more}), flush=True)


def wait():  # for its end, which must come from outside
    time.sleep(60)

"""


@dataclass
class Programs:
    """Runs a program as a cohort."""

    folder: Path
    options: dict[str, Any] = field(default_factory=dict)
    race: dict[str, Any] = field(default_factory=lambda: {"max_steps": 100})
    at_once: int = 1
    expected: int | None = None
    stopping: Any = staticmethod(lambda: False)
    notes: list[str] = field(default_factory=list)

    def resolved(self, body):
        (self.folder / "train.py").write_text(PRELUDE + textwrap.dedent(body))
        run = [sys.executable, "-IS", "train.py", "{lr}", "{max_steps}"]
        options = {"run": run, "target": 0.3, "folder": str(self.folder)}
        study = {
            "workload": "command",
            "workload_options": options | self.options,
            "batch_sizes": [8],
            "race": self.race,
            "search": {"space": {"lr": {"low": 0.1, "high": 10.0, "scale": "log"}}},
            "compute": {"pack": self.at_once},
        }
        return resolve(study)

    def run(self, body, lrs=(1.0,), kept=False):
        """Run one trial for each learning rate; return the results by learning rate."""
        resolved, command = self.resolved(body)
        points = tuple(Point(trial=n, seed=n, values={"lr": lr}) for n, lr in enumerate(lrs))
        cohort = Cohort(batch_size=8, points=points, expected_steps=self.expected)
        checkpoint = None
        if kept:
            place = ResultsFolder.at(self.folder / "results")
            checkpoint = Checkpoint(place, "b00008-c000", resolved, cohort, "cpu")
            checkpoint.stopping, checkpoint.notes = self.stopping, self.notes
        results = run_cohort(resolved, command, cohort, checkpoint)
        return {result.point.values["lr"]: result for result in results}

    def one(self, body, **more):
        """Run one trial; return its result."""
        return self.run(body, **more)[1.0]


@pytest.fixture
def programs(tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "SETTLE_SECONDS", 0.0)
    return Programs(tmp_path)


@pytest.fixture
def alive():
    """Return a function that lists the processes with a marker in their environment."""

    def having(marker):
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has ended
                if marker.encode() in (process / "environ").read_bytes():
                    found.append(process.name)
        return found

    return having
