"""Winners of programs, run again."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from study.engine.cohort import run_cohort
from study.planning.resolve import resolve
from study.records import Cohort, Point
from study.replay.winners import _gap, replay_winners

TRAIN = """
import json, sys
fast = float(open("speed").read())
for step in range(0, 101, 10):
    print(json.dumps({"step": step, "val_error": max(0.0, 0.9 - 0.01 * step * fast)}), flush=True)
"""


@pytest.fixture
def recorded(tmp_path):
    """Return a study of a program, its program, and the one trial that it recorded."""
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "speed").write_text("1.0")
    options = {"run": [sys.executable, "-IS", "train.py", "{lr}"], "target": 0.3}
    study = {
        "workload": "command",
        "workload_options": options | {"folder": str(tmp_path)},
        "batch_sizes": [8],
        "race": {"max_steps": 100},
        "search": {"space": {"lr": 1.0}},
    }
    resolved, command = resolve(study)
    cohort = Cohort(batch_size=8, points=(Point(trial=0, seed=0, values={"lr": 1.0}),))
    return resolved, command, run_cohort(resolved, command, cohort)


def rerun(recorded):
    (clause,) = replay_winners(*recorded, ["train.py has changed"])
    return clause.passed, clause.detail


def test_a_program_that_repeats_itself_is_reported(recorded):
    passed, detail = rerun(recorded)
    assert passed is True
    assert "at step 70, as recorded; its measurements agree in every bit" in detail


def test_measurements_that_differ_are_reported(recorded):
    resolved, command, (trial,) = recorded
    curve = replace(trial.curve, val_error=trial.curve.val_error + 0.001)
    passed, detail = rerun((resolved, command, [replace(trial, curve=curve)]))
    assert passed is True
    assert "its measurements differ by 0.001 at most" in detail


def test_other_steps_are_reported_but_do_not_fail_the_check(recorded, tmp_path):
    (tmp_path / "speed").write_text("1.2")
    passed, detail = rerun(recorded)
    assert passed is None
    assert "at step 60, recorded at 70: the program does not repeat its measurements" in detail
    assert "train.py has changed" in detail


@pytest.mark.parametrize(("speed", "why"), [("0.1", "ended"), ("none", "ValueError")])
def test_a_missed_target_fails_the_check(recorded, tmp_path, speed, why):
    (tmp_path / "speed").write_text(speed)
    passed, detail = rerun(recorded)
    assert passed is False
    assert "must be below 0.3 at about step 70, as recorded; run again" in detail
    assert why in detail


def test_the_gap_of_two_curves_is_a_number_also_at_a_loss_of_0():
    assert _gap(np.array([0.5, 0.0]), np.array([0.25, 0.0, 1.0])) == 0.25
