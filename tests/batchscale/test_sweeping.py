"""A sweep from Python is the command's: same options, same tables, errors before anything runs."""

import inspect
import os
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

import batchscale
from study.commands.sweep import sweep as command

STUDY = {
    "workload": "noisy-quadratic",
    "optimizer": "sgd",
    "batch_sizes": [16, 256],
    "search": {"trials": 3},
    "race": {"max_steps": 300, "target": 0.2},
    "replicates": {"seeds": 0},
}


def test_the_arguments_match_the_options_of_the_command():
    ours = list(inspect.signature(batchscale.sweep).parameters)
    theirs = list(inspect.signature(command).parameters)
    assert ours[1:] == [name for name in theirs[1:] if name != "dry_run"]  # nothing to return


def test_wrong_input_is_refused_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for study, message in [
        (STUDY | {"optimizer": "nestorov"}, "optimizer must be one of"),
        (STUDY | {"grid": []}, "grid must be"),
        ("nowhere.toml", "must be readable"),
        ({}, "workload"),
    ]:
        with pytest.raises(batchscale.BatchscaleError, match=message):
            batchscale.sweep(study)
    for argument, message in [
        ({"workers": 0}, "workers must be an integer of at least 1, got 0"),
        ({"workers": 1.5}, "workers must be an integer"),
        ({"gpus_per_worker": -1}, "gpus_per_worker must be a number of at least 0, got -1"),
        ({"settings": "seed=1"}, "settings must be a list of strings, .* got 'seed=1'"),
        ({"track": "tensorboard"}, "track must be a list of names, .* got 'tensorboard'"),
        ({"results": 5}, "results must be a path or a URI, got 5"),
        ({"data_dir": 5}, "data_dir must be a path, got 5"),
        ({"ray": "no"}, "ray must be True, False or None, got 'no'"),
    ]:
        with pytest.raises(batchscale.BatchscaleError, match=message):
            batchscale.sweep(STUDY, **argument)
    with (
        ThreadPoolExecutor(1) as pool,
        pytest.raises(batchscale.BatchscaleError, match="sweep must be called in the main thread"),
    ):
        pool.submit(batchscale.sweep, STUDY).result()
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_sweep_returns_its_study_and_resumes(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BATCHSCALE_DATA", "before")
    study = batchscale.sweep(STUDY, results=tmp_path, workers=2, data_dir=tmp_path)
    assert os.environ["BATCHSCALE_DATA"] == "before"
    assert study.folder.location == str(tmp_path / "noisy-quadratic")
    assert study.steps()["batch_size"].tolist() == [16, 256]
    pd.testing.assert_frame_equal(batchscale.load(study.folder.location).trials, study.trials)
    assert "6 trials recorded, 0 failed" in capsys.readouterr().out
