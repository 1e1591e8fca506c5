"""The real command on real workers, forked ones and Ray's."""

import os
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.slow


EVERYTHING = ("replicates.seeds=3", "search.extend=1", "search.warm_start=true")
NARROW = (
    "search.space.lr={low=1e-3, high=0.03, scale='log'}",
    "search.space.momentum=0.8",
    "search.trials=24",
)


@pytest.mark.parametrize(
    ("sampler", "way"),
    [
        pytest.param("halton", "--no-ray", marks=pytest.mark.long),
        pytest.param("halton", "--ray", marks=pytest.mark.long),
        pytest.param("tpe", "--no-ray", marks=pytest.mark.long),
        pytest.param("tpe", "--ray", marks=pytest.mark.long),
        pytest.param("shared", "--no-ray", marks=pytest.mark.long),
    ],
)
def test_the_tables_do_not_depend_on_the_number_and_kind_of_workers(place, sampler, way):
    settings = [f"search.sampler={sampler}", *EVERYTHING, *NARROW]
    words = [word for setting in settings for word in ("--set", setting)]
    code, out, err = place.run("sweep", "study.toml", "--workers", 2, way, *words)
    assert code == 0, err
    assert "0 failed" in out
    assert "Traceback" not in err
    place.assert_same_tables("results", place.alone("alone", *settings))
    trials = place.table("trials.parquet")
    count = trials.groupby(["batch_size", "role"]).size().unstack(fill_value=0)
    assert (count["search"] == 24).all()
    assert (count["replicate"] == 3).all()
    assert count["warm"].tolist() == [2, 2, 0, 2]
    assert (count["extension"] > 0).any()
    assert (trials.groupby("batch_size")["steps"].min() > 0).all()
    code, out, err = place.run("analyze", "results/study")
    assert code == 0, err


@pytest.mark.long
def test_a_study_may_run_every_trial_to_its_budget(place):
    code, _, err = place.run("sweep", "study.toml", "--set", "race={to='budget', max_steps=60}")
    assert code == 0, err
    trials = place.table("trials.parquet")
    assert (trials.loc[trials["status"] != "diverged", "stopped_at"] == 60).all()
    assert trials["steps"].min() < 60
    code, _, err = place.run("analyze", "results/study", "--target", "0.05")
    assert code == 0, err


@pytest.mark.long
def test_a_finished_study_grows_and_keeps_what_it_has(place):
    assert place.run("sweep", "study.toml", "--set", "batch_sizes=[4,16]")[0] == 0
    before = place.table("trials.parquet")
    code, out, err = place.run("sweep", "study.toml", "--set", "search.trials=10")
    assert code == 0, err
    assert "40 trials recorded" in out
    after = place.table("trials.parquet")
    kept = after.merge(before[["batch_size", "trial", "seed", "lr"]])
    assert len(kept) == len(before)
    assert len(after) == 4 * 10


@pytest.mark.long
def test_a_sweep_of_several_runs_of_ray_tune_gives_the_same_tables(place):
    code = (
        "from study.orchestration import searcher; searcher.COHORTS_PER_RUN = 3\n"
        "from batchscale.__main__ import main; main()"
    )
    words = [
        sys.executable,
        "-P",
        "-c",
        code,
        "sweep",
        "study.toml",
        "--ray",
        "--results",
        "several",
    ]
    subprocess.run(words, cwd=place.folder, check=True, timeout=300)
    place.assert_same_tables("several", place.alone("alone"))


IMPATIENT = (
    "from study.orchestration import sweep; sweep.SECONDS_WITHOUT_RAY = 0.0\n"
    "from batchscale.__main__ import main; main()"
)


def test_ray_takes_over_what_is_left_and_gives_the_same_tables(place):
    few = "batch_sizes=[16, 90]"
    words = [sys.executable, "-P", "-c", IMPATIENT, "sweep", "study.toml", "--set", few]
    subprocess.run(words, cwd=place.folder, check=True, timeout=300)
    place.assert_same_tables("results", place.alone("alone", few))
    parts = (place.folder / "results/study/parts").glob("b*.parquet")
    nodes = {pq.read_schema(part).metadata[b"batchscale.node"] for part in parts}
    assert any(b" " in node for node in nodes)  # Ray's has an ID


@pytest.mark.long
def test_a_sweep_goes_on_without_a_ray_that_cannot_start(place, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(place.folder / ("x" * 90)))
    words = [sys.executable, "-P", "-c", IMPATIENT, "sweep", "study.toml"]
    done = subprocess.run(
        words, cwd=place.folder, check=True, timeout=300, capture_output=True, text=True
    )
    assert (
        done.stdout.count("the sweep continued without Ray: Ray's folder of temporary files") == 1
    )
    assert "32 trials recorded, 0 failed" in done.stdout


def test_trials_that_raise_are_recorded_and_the_sweep_goes_on(place, command):
    text = (place.folder / "blobs.py").read_text()
    text = text.replace(
        "        return nn.functional.cross_entropy",
        "        if len(batch.inputs) == 16 and model.training:\n"
        "            raise RuntimeError('no sixteens today')\n"
        "        return nn.functional.cross_entropy",
    )
    (place.folder / "blobs.py").write_text(text)
    code, out, err = command("sweep", "study.toml")
    assert code == 1
    assert "32 trials recorded, 8 failed" in out
    assert 'B = 16: 8 of 8 trials failed, the first with "RuntimeError: no sixteens today".' in out
    assert "To run them again, delete the files of their cohorts, " in out
    trials = place.table("trials.parquet")
    failed = trials[trials["status"] == "failed"]
    assert set(failed["batch_size"]) == {16}
    assert set(failed["message"]) == {"RuntimeError: no sixteens today"}


def slowly(place, words):
    """Changes the loss of the plug-in, which runs one lane after another."""
    text = (place.folder / "blobs.py").read_text()
    before = "        return nn.functional.cross_entropy"
    (place.folder / "blobs.py").write_text(text.replace(before, f"        {words}\n{before}"))
    return "--set", "compute.mode=looped", "--workers", "2"


@pytest.mark.long
def test_a_killed_sweep_goes_on_in_the_middle_of_a_cohort(place):
    settings = slowly(place, "__import__('time').sleep(0.05)")
    often = ("--set", "compute.checkpoint_minutes=0.002")
    process = place.start("sweep", "study.toml", "--results", "killed", *settings, *often)
    folder = place.folder / "killed" / "study"
    deadline = time.monotonic() + 120
    while not list(folder.glob("checkpoints/b*.pt")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    while place.processes() and time.monotonic() < deadline:
        time.sleep(0.1)  # until then a worker may end its cohort
    assert list(folder.glob("checkpoints/b*.pt"))
    code, out, err = place.run("sweep", "study.toml", "--results", "killed", *settings)
    assert code == 0, err
    assert ".pt resumed at step " in out
    assert not list(folder.glob("checkpoints/*"))
    never = ("--set", "compute.checkpoint_minutes=0")
    place.assert_same_tables("killed", place.alone("whole", *settings[1:2], *never[1:]))


@pytest.mark.long
def test_cohorts_that_never_end_are_stopped_and_the_others_go_on(place):
    hangs = "{4: lambda: __import__('time').sleep(1e9), 16: lambda: sum(range(10**15))}"
    settings = slowly(place, f"{hangs}.get(len(batch.inputs), int)()")
    limit = ("--set", "compute.cohort_minutes=0.15", "--set", "search.trials=4")
    code, out, err = place.run("sweep", "study.toml", *settings, *limit)
    assert code == 1, err
    for size in (4, 16):
        assert f'B = {size}: 4 of 4 trials failed, the first with "the cohort trained for' in out
    assert "16 trials recorded, 8 failed" in out
    assert place.table("trials.parquet").groupby("batch_size")["steps"].min().notna().sum() == 2
    code, out, err = place.run("analyze", "results/study")
    assert code == 0, err
    assert "compute.cohort_minutes = 0.15" in out


@pytest.mark.long
def test_a_sweep_whose_reader_has_gone_loses_nothing(place):
    few = ("--set", "search.trials=8")
    command = place.start("sweep", "study.toml", "--workers", 2, *few)
    assert command.stdout.readline().startswith(str(place.folder))
    command.stdout.close()
    _, err = command.communicate(timeout=300)
    assert command.returncode == 0, err
    assert err == ""
    place.assert_same_bytes("results", place.alone("whole", "search.trials=8"))
