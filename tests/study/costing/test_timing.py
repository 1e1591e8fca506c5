"""Real steps are timed on the CPU, alone and as the study computes them."""

import sys
import time

import numpy as np
import pytest
import torch

from study.costing.timing import (
    MIN_REPEATS,
    REPEATS,
    processor,
    timed_program,
    timed_steps,
    unpacked,
)
from study.errors import StudyError
from study.planning.resolve import resolve
from study.planning.trial_run import TrialRun
from study.records import Curve, Point

POINT = Point(trial=0, seed=1, values={"lr": 0.05, "momentum": 0.5})


@pytest.mark.parametrize("mode", ["packed", "looped"])
def test_a_step_is_timed_as_a_user_would_train(make_study, shared_training, mode):
    study = unpacked(make_study(compute={"mode": mode}))
    row = timed_steps(study, shared_training(), POINT, 16, 0.02)
    assert row["step_seconds_low"] <= row["step_seconds"] <= row["step_seconds_high"]
    assert 0 < row["step_seconds"] < 1
    assert 0 < row["evaluation_seconds"] < 1
    assert MIN_REPEATS <= row["repeats"] <= REPEATS
    assert row["micro_batch"] == 16
    assert row["parameters"] == 2 * 8 + 8 + 8 * 3 + 3
    assert row["memory"] > 10**7
    assert (row["device"], row["threads"]) == (processor(), torch.get_num_threads())
    assert (row["precision"], row["source"]) == ("float32", "measured")


def test_steps_take_what_the_model_takes(make_study, training, monkeypatch):
    """A model that sleeps in every forward pass: the truth is known, up to what else runs."""
    made = training()
    forward = made.workload.loss
    slept = []

    def slow(model, batch):
        slept.append(len(batch.inputs))
        time.sleep(0.02)
        return forward(model, batch)

    monkeypatch.setattr(made.workload, "loss", slow, raising=False)
    row = timed_steps(unpacked(make_study()), made, POINT, 8, 0.01)
    assert row["step_seconds_low"] >= 0.02
    assert row["step_seconds"] < 0.2
    # one step per repeat, as one takes longer than all of them should
    assert slept.count(8) == 1 + 1 + MIN_REPEATS


def program(tmp_path, body):
    (tmp_path / "train.py").write_text(body)
    run = [sys.executable, "-IS", "train.py", "{lr}"]
    return resolve(
        {
            "workload": "command",
            "workload_options": {"run": run, "target": 0.3, "folder": str(tmp_path)},
            "batch_sizes": [8],
            "search": {"space": {"lr": {"low": 0.1, "high": 10.0, "scale": "log"}}},
            "race": {"max_steps": 100},
        }
    )


def test_a_program_is_timed_between_its_reports(tmp_path):
    study, command = program(
        tmp_path,
        "import json, time\n"
        "for step in range(0, 50, 10):\n"
        '    print(json.dumps({"step": step, "val_error": 0.9 - step / 500}), flush=True)\n'
        "    time.sleep(0.05)\n",
    )
    row = timed_program(study, command, Point(trial=0, seed=1, values={"lr": 1.0}), 8, 0.01)
    assert 0 < row["step_seconds"] < 0.5  # reports may be read late on a busy machine
    assert "evaluation_seconds" not in row
    assert row["repeats"] >= 1


def test_buffered_reports_are_refused(tmp_path, monkeypatch):
    study, command = program(tmp_path, "")
    curve = Curve(
        **{n: np.array([1.0, 1.0]) for n in ("train_loss", "val_loss", "val_error", "seconds")},
        step=np.array([0, 5]),
    )
    run = TrialRun(curve=curve, message="", memory=0, ended_softly=True)
    monkeypatch.setattr("study.costing.timing.trial_run", lambda *_: run)
    with pytest.raises(
        StudyError, match="got 2 reports at once at batch size 8; print them while it trains"
    ):
        timed_program(study, command, Point(trial=0, seed=1, values={"lr": 1.0}), 8, 0.01)


def test_a_program_that_fails_is_refused(tmp_path):
    study, command = program(tmp_path, "raise SystemExit('no data')\n")
    with pytest.raises(StudyError, match="the program must run"):
        timed_program(study, command, Point(trial=0, seed=1, values={"lr": 1.0}), 8, 0.01)
