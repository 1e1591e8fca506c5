"""What a sweep hands to trackers, read back from what the packages wrote."""

import importlib.util
import json
import math
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from pyarrow import fs
from tensorboardX import SummaryWriter  # noqa: F401 - the process of the trackers needs it

from analysis.fitting.estimates import Estimate
from analysis.runs.importing import Choices, import_runs
from analysis.tables.folder import ResultsFolder
from analysis.tables.study import read_study
from study.errors import StudyError
from study.orchestration.progress import Progress
from study.replay.recorded import trials_of_tables
from study.storage.study_folder import read_study_toml
from study.tracking.follow import finished_run, summary_numbers, tracked, tracker_folder
from study.tracking.registry import TRACKERS, check_trackers, tracker_class

GOLDEN = Path(__file__).parents[2] / "golden" / "search"
FIGURES = Path(__file__).parents[3] / "results" / "reference" / "digits" / "figures"


@pytest.fixture(scope="module")
def recorded():
    """Return a recorded study, and a few of its trials: two cohorts with their replicates."""
    folder = ResultsFolder.at(GOLDEN)
    resolved = read_study_toml(folder)
    results = trials_of_tables(folder, resolved)
    sizes = resolved.batch_sizes[:2]
    return resolved, [r for r in results if r.batch_size in sizes and r.point.trial < 3]


@pytest.fixture
def study(recorded, tmp_path):
    """Return a folder of the recorded study, which may be changed, and what is in it."""
    return ResultsFolder.at(shutil.copytree(GOLDEN, tmp_path / "digits")), *recorded


def outcome(results):
    return sorted(
        (r.batch_size, str(r.point.role), r.point.trial, r.outcome.steps) for r in results
    )


def steps_of(study):
    return sorted(
        (row.batch_size, row.role, row.trial, None if row.status != "reached" else row.steps)
        for row in study.trials.itertuples()
    )


@pytest.mark.slow
@pytest.mark.parametrize("by", ["trial", pytest.param("batch-size", marks=pytest.mark.long)])
def test_event_files_of_a_sweep_are_imported_as_its_trials(study, tmp_path, by):
    folder, resolved, results = study
    progress = Progress(resolved)
    names = ("tensorboard", "of nobody")
    with tracked(names, by, folder, resolved, progress) as said:
        progress.add(results)
    assert said == ["nothing more was tracked by of nobody: KeyError: 'of nobody'"]
    there = tmp_path / "digits" / "tensorboard"
    images = b"".join(path.read_bytes() for path in (there / "summary").iterdir())
    assert b"steps_vs_batch" in images
    assert b"summary/steps/B" in images
    assert b"summary/b_crit" not in images  # so few trials do not bound it
    (made,) = import_runs(str(there), ResultsFolder.at(tmp_path / "back"), Choices())
    found = steps_of(read_study(made.folder))
    best = {}
    for result in results:
        steps = result.outcome.steps or math.inf
        if steps < best.get(result.batch_size, (math.inf,))[0]:
            best[result.batch_size] = (steps, result)
    expected = results if by == "trial" else [result for _, result in best.values()]
    assert found == outcome(expected)


@pytest.mark.parametrize(
    ("estimate", "shown"),
    [
        (Estimate(value=40.0, low=30.0, high=50.0), {"b_crit": 40.0}),
        (Estimate(value=40.0, low=30.0, high=math.inf), {}),  # only a bound is known
        (None, {}),
    ],
)
def test_trackers_get_the_critical_batch_size_of_the_summary(estimate, shown):
    reached = pd.DataFrame({"batch_size": [4, 16], "steps": pd.array([90, 40], dtype="Int64")})
    b_crit = None if estimate is None else SimpleNamespace(estimate=estimate)
    analysis = SimpleNamespace(reached=reached, b_crit=b_crit)
    assert summary_numbers(analysis) == {"steps/B4": 90.0, "steps/B16": 40.0} | shown


def test_trackers_write_into_results_on_a_disk_or_else_here(tmp_path):
    for location in (tmp_path / "digits", f"file://{tmp_path}/digits"):
        assert tracker_folder(ResultsFolder.at(location)) == tmp_path / "digits"
    store = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    assert tracker_folder(ResultsFolder("s3://b/digits", store, "b/digits")) == Path("digits")


def test_a_sweep_without_new_trials_shows_nothing(study):
    folder, resolved, _ = study
    with tracked(("of nobody",), "trial", folder, resolved, Progress(resolved)) as said:
        pass
    assert said == []


def test_a_tracker_that_hangs_is_ended(study, monkeypatch):
    folder, resolved, results = study
    monkeypatch.setattr("study.tracking.follow.MAX_SECONDS", 0.01)  # no Python starts so fast
    monkeypatch.setattr("study.tracking.follow._summary", lambda *_: ({}, []))
    progress = Progress(resolved)
    with tracked(("of nobody",), "trial", folder, resolved, progress) as said:
        progress.add(results)
    assert said == ["the trackers were ended after 0 s; they may lack some runs"]


PLUGINS = """
import os, time


class Tracker:
    def __init__(self, study, folder):
        self.place, self.seen = folder / type(self).__name__, 0
        print("a package that talks")

    def log(self, run):
        self.seen += 1
        if self.seen == 2:
            self.fail()
        self.place.write_text(str(self.seen))

    def close(self, summary, figures):
        self.place.write_text("closed")

    def fail(self):
        pass


class Raises(Tracker):
    def fail(self):
        raise SystemExit("no space left")


class Hangs(Tracker):
    def fail(self):
        self.place.write_text("hangs")
        time.sleep(600)


class Dies(Tracker):
    def fail(self):
        os._exit(7)
"""


@pytest.mark.parametrize(
    ("last", "end"),
    [
        ("Tracker", []),
        ("Hangs", ["the trackers were ended after 0 s; they may lack some runs"]),
        ("Dies", ["the trackers ended with code 7; they lack some runs"]),
    ],
)
def test_a_tracker_that_fails_midway_harms_neither_sweep_nor_the_others(
    study, tmp_path, monkeypatch, last, end
):
    folder, resolved, results = study
    plugins = tmp_path / "plugins"
    (plugins / "odd-1.dist-info").mkdir(parents=True)
    (plugins / "odd.py").write_text(PLUGINS)
    (plugins / "odd-1.dist-info" / "METADATA").write_text("Name: odd\nVersion: 1\n")
    names = ("Raises", last)
    points = "".join(f"{name} = odd:{name}\n" for name in names)
    (plugins / "odd-1.dist-info" / "entry_points.txt").write_text(
        f"[batchscale.trackers]\n{points}"
    )
    monkeypatch.setenv("PYTHONPATH", str(plugins), prepend=os.pathsep)
    place = tmp_path / "digits" / last

    def found(*_):  # the sweep's last work takes until the tracker hangs
        deadline = time.monotonic() + 60
        while last == "Hangs" and not (place.exists() and place.read_text() == "hangs"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return {}, []

    monkeypatch.setattr("study.tracking.follow._summary", found)
    monkeypatch.setattr("study.tracking.follow.MAX_SECONDS", 0.01 if last == "Hangs" else 60.0)
    progress = Progress(resolved)
    with tracked(names, "trial", folder, resolved, progress) as said:
        progress.add(results)
    assert said == ["nothing more was tracked by Raises: SystemExit: no space left", *end]
    assert progress.recorded == len(results)
    assert (tmp_path / "digits" / "Raises").read_text() == "1"
    assert place.read_text() == {"Tracker": "closed", "Hangs": "hangs", "Dies": "1"}[last]


def test_a_full_disk_is_reported_and_harms_nothing(study, monkeypatch):
    folder, resolved, results = study
    monkeypatch.setattr("study.tracking.follow._summary", lambda *_: ({}, []))
    progress = Progress(resolved)
    with tracked(("of nobody",), "trial", folder, resolved, progress) as said:
        monkeypatch.setattr(
            Path, "open", lambda *a, **k: (_ for _ in ()).throw(OSError(28, "full"))
        )
        progress.add(results)
    assert len(said) == 1
    assert "must be writable: full" in said[0]
    assert progress.recorded == len(results)


def test_trackers_are_checked_before_anything_runs(monkeypatch):
    with pytest.raises(StudyError, match="--track must be one of .*did you mean 'wandb'"):
        check_trackers(["wandbb"], "trial")
    with pytest.raises(StudyError, match="--track-by must be one of trial, batch-size"):
        check_trackers([], "cohort")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr("study.tracking.registry.find_spec", lambda name: None)
    for name, adapter in TRACKERS.items():
        with pytest.raises(
            StudyError, match=f"--track {name} needs .*`pip install {adapter.install[:3]}"
        ):
            check_trackers([name], "trial")


def shown_by(name, study, tmp_path):
    """Show two trials, a number and a figure; return the runs as they were handed over."""
    pytest.importorskip(
        TRACKERS[name].package, reason=f"needs the package {TRACKERS[name].package}"
    )
    _, resolved, results = study
    runs = [finished_run(resolved, result) for result in results[:2]]
    figure = FIGURES / "steps_vs_batch.png"
    tracker = tracker_class(name)("digits", tmp_path / "files")
    for run in runs:
        tracker.log(run)
    tracker.close({"b_crit": 42.0}, [figure])
    return runs


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of packages that mlflow imports
@pytest.mark.parametrize("store", ["file", "sqlite"])
def test_mlflow_has_the_runs(study, tmp_path, monkeypatch, store):
    uri = f"{'file://' if store == 'file' else 'sqlite:///'}{tmp_path / 'mlruns'}"
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri + (".db" if store == "sqlite" else ""))
    monkeypatch.chdir(tmp_path)
    runs = shown_by("mlflow", study, tmp_path)
    source = tmp_path / ("mlruns" if store == "file" else "mlruns.db")
    (made,) = import_runs(str(source), ResultsFolder.at(tmp_path / "back"), Choices())
    assert outcome(study[2][:2]) == steps_of(read_study(made.folder))
    from mlflow.tracking import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name("digits")
    there = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(there) == {"summary", *(run.name for run in runs)}
    assert there["summary"].data.metrics == {"b_crit": 42.0}
    made = there[runs[0].name]
    history = client.get_metric_history(made.info.run_id, "val_error")
    assert [(m.step, m.value) for m in history] == [
        (row["step"], row["val_error"]) for row in runs[0].curve
    ]
    assert made.data.params["batch_size"] == str(runs[0].config["batch_size"])
    assert made.data.tags["outcome"] == runs[0].outcome["status"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_wandb_writes_the_runs_offline(study, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    runs = shown_by("wandb", study, tmp_path)
    files = sorted((tmp_path / "files" / "wandb").glob("offline-run-*/*.wandb"))
    content = [path.read_bytes() for path in files]
    assert len(content) == len(runs) + 1
    for run in runs:
        (own,) = [text for text in content if run.name.encode() in text]
        assert b"val_error" in own
        assert run.config["optimizer"].encode() in own
        assert json.dumps(run.outcome["status"]).encode() in own


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_trackio_has_the_runs(study, tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    runs = shown_by("trackio", study, tmp_path)
    import trackio

    there = {run.name: run for run in trackio.Api().runs("digits")}
    assert set(there) == {"summary", *(run.name for run in runs)}
    assert there[runs[0].name].config["batch_size"] == runs[0].config["batch_size"]
    assert os.listdir(tmp_path / "trackio")
