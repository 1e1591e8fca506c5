import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import batchscale

ROOT = Path(__file__).parents[2]


@pytest.fixture
def log(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    monkeypatch.setenv("BATCHSCALE_LOG", str(path))
    return path


def test_a_report_is_a_line_of_json(log):
    batchscale.report(step=10, val_error=torch.tensor(0.5), val_loss=np.float32(1.5))
    batchscale.report(step=np.int64(20), val_error=float("nan"))
    first, second = map(json.loads, log.read_text().splitlines())
    assert first == {"step": 10, "val_error": 0.5, "val_loss": 1.5}
    assert second["step"] == 20
    batchscale.report(step=1.5, val_error=0.5)
    assert json.loads(log.read_text().splitlines()[2])["step"] == 1.5  # for batchscale to refuse


@pytest.mark.parametrize("value", ["high", None, np.ones(2)])
def test_a_value_that_is_not_a_number_is_refused(log, value):
    with pytest.raises(TypeError, match="report takes numbers, got val_error = .* not measured"):
        batchscale.report(step=1, val_error=value)


def test_outside_of_batchscale_a_report_is_printed(capsys, monkeypatch):
    monkeypatch.delenv("BATCHSCALE_LOG", raising=False)
    batchscale.report(step=1, val_error=0.5)
    assert json.loads(capsys.readouterr().out) == {"step": 1, "val_error": 0.5}


@pytest.mark.parametrize(("rank", "lines"), [("0", 1), ("1", 0)])
def test_one_of_several_processes_reports(log, monkeypatch, rank, lines):
    monkeypatch.setenv("RANK", rank)
    batchscale.report(step=1, val_error=0.5)
    assert len(log.read_text().splitlines() if log.exists() else []) == lines


def test_a_trial_has_the_values_given_by_batchscale(monkeypatch, tmp_path):
    told = {"hyperparameters": {"lr": 0.25}, "checkpoint": str(tmp_path), "batch_size": 64}
    told |= {"micro_batch": 16, "seed": 3, "max_steps": 100, "max_examples": 6400}
    monkeypatch.setenv("BATCHSCALE_TRIAL", json.dumps(told))
    monkeypatch.setenv("BATCHSCALE_RESUME", "1")
    trial = batchscale.trial(lr=0.1, momentum=0.9)
    assert dict(trial) == {"lr": 0.25, "momentum": 0.9}
    assert (trial.batch_size, trial.micro_batch, trial.seed) == (64, 16, 3)
    assert (trial.max_steps, trial.max_examples) == (100, 6400)
    assert (trial.checkpoint, trial.resume) == (tmp_path, True)


def test_by_hand_a_trial_has_the_values_of_its_call(monkeypatch):
    monkeypatch.delenv("BATCHSCALE_TRIAL", raising=False)
    trial = batchscale.trial(lr=0.1)
    assert trial["lr"] == 0.1
    assert (trial.seed, trial.max_steps, trial.checkpoint, trial.resume) == (0, None, None, False)


def test_reporting_imports_neither_torch_nor_ray_nor_files_of_our_names(tmp_path):
    for name in ("study", "workloads", "analysis"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('hostile')\n")
    code = f"""
import sys
sys.path.append({str(ROOT)!r})
import batchscale
batchscale.report(step=1, val_error=0.5)
batchscale.trial(lr=1.0)
heavy = {{"torch", "ray", "numpy", "pandas", "study", "analysis"}} & sys.modules.keys()
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)
