"""Tests of the pure parts of the benchmarks, and that each starts; none asserts a speed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.benchmarks import measuring, studies
from tests.benchmarks.made_up import MadeUp
from tests.benchmarks.peers.against_optuna import threads
from tests.benchmarks.sweeps import orchestration, workers
from tests.benchmarks.sweeps.growth import spaced
from workloads import LaneSetup

HERE = Path(__file__).parent
BENCHMARKS = (
    "peers.against_optuna",
    "peers.against_ray_tune",
    "steps.averages",
    "steps.engine",
    "sweeps.growth",
    "sweeps.load",
    "sweeps.memory",
    "sweeps.orchestration",
    "steps.packs",
    "steps.programs",
    "sweeps.shares",
    "steps.single_runs",
    "sweeps.workers",
)


@pytest.mark.slow
@pytest.mark.long
def test_each_benchmark_says_what_it_compares():
    started = {
        name: subprocess.Popen(
            [sys.executable, "-m", f"tests.benchmarks.{name}", "--help"],
            cwd=HERE.parents[1],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in BENCHMARKS
    }
    for name, process in started.items():
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0, name
        assert "--repeats" in out
        assert "--json" in out
        assert "ot measured" in out or "ot compared" in out


def test_every_benchmark_is_in_the_readme():
    text = (HERE / "README.md").read_text(encoding="utf-8")
    assert all(f"tests.benchmarks.{name}" in text for name in BENCHMARKS)


def test_a_ratio_is_of_medians():
    assert measuring.ratio([30, 20, 1000], [10, 11, 1]) == 3.0
    assert measuring.ratios([30, 20, 10], [10, 10, 10]) == "2.00x (1.00 to 3.00)"
    spread = measuring.spread([3.0, 1.0, 200.0])
    assert (spread.median, spread.low, spread.high, spread.repeats) == (3.0, 1.0, 200.0, 3)
    assert str(spread) == "3.00 (1.00 to 200)"


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234.5, "1,234"), (12.34, "12.3"), (1.234, "1.23"), (0.1234, "0.123"), (float("nan"), "-")],
)
def test_numbers_are_written_with_three_digits(value, text):
    assert measuring.number(value) == text


def test_repeats_are_interleaved_in_alternating_order():
    order: list[str] = []
    cases = {name: lambda name=name: order.append(name) or len(order) for name in "ab"}
    assert measuring.interleaved(cases, 3) == {"a": [1, 4, 5], "b": [2, 3, 6]}
    assert order == ["a", "b", "b", "a", "a", "b"]


def test_a_command_is_timed_and_its_memory_read():
    code = "print('hello'); import time; time.sleep(1)"  # long enough to be sampled
    finished = measuring.run([sys.executable, "-c", code], pss=True, interval=0.01)
    assert [line for _, line in finished.lines] == ["hello"]
    assert 0 < finished.seconds < 60
    assert finished.processes[0].peak_rss > 2**20
    assert finished.peak_rss > 0


def test_a_command_that_fails_ends_the_benchmark():
    with pytest.raises(SystemExit, match="exit code 3"):
        measuring.run([sys.executable, "-c", "raise SystemExit(3)"])


def test_a_command_that_does_not_end_is_ended():
    with pytest.raises(SystemExit, match="no end after"):
        measuring.run([sys.executable, "-c", "import time; time.sleep(60)"], limit=0.1)


def test_shared_and_own_memory_are_read():
    text = "Rss: 9 kB\nPss:    5 kB\nPrivate_Clean:  1 kB\nPrivate_Dirty:   2 kB\n"
    assert measuring.rollup(text) == (5 * 1024, 3 * 1024)


@pytest.mark.parametrize(
    ("words", "title", "role"),
    [
        (["/v/bin/python3", "/v/bin/batchscale", "sweep"], "batchscale", "Ray's own"),
        (["/v/bin/python", "-u", "/v/ray/monitor.py"], "monitor.py", "Ray's own"),
        (["ray::RaceTrainable.train"], "ray::RaceTrainable.train", "worker"),
        (["ray::DashboardAgent"], "ray::DashboardAgent", "Ray's own"),
        (["ray::IDLE"], "ray::IDLE", "idle worker"),
        (["/v/raylet/raylet", "--port=1"], "raylet", "Ray's own"),
    ],
)
def test_processes_are_classified_by_role(words, title, role):
    assert measuring.short_title(words) == title
    process = measuring.Process(
        pid=2, title=title, cpu_seconds=0, peak_rss=0, peak_pss=None, peak_uss=None
    )
    assert measuring.role(process, root=1) == role
    assert measuring.role(process, root=2) == "driver"


def test_the_json_has_repeats_machine_versions_and_command(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/sweeps/growth.py", "--repeats", "2"])
    path = tmp_path / "new" / "out.json"
    options = measuring.arguments("doc", repeats=3).parse_args(["--json", str(path)])
    finished = measuring.Finished(
        command=["/place/x"], started=1.0, seconds=2.0, lines=[(0.5, "in /place")], processes=[],
        peak_rss=3, peak_pss=None, root_rss=[],
    )  # fmt: skip
    nested = workers.Ended(finished=finished, phases={"training": 1.5}, trials=[])
    repeats = {"a": [measuring.spread([1.0])], "b": [nested]}
    measuring.write_json(options, repeats=repeats)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["benchmark"] == "growth"
    assert content["command"] == [
        "python",
        "-m",
        "tests.benchmarks.sweeps.growth",
        "--repeats",
        "2",
    ]
    assert content["options"] == {"repeats": 3}
    assert content["repeats"]["a"][0]["median"] == 1.0
    assert content["repeats"]["b"][0]["finished"]["seconds"] == 2.0
    assert "/" not in json.dumps(content["repeats"])
    assert content["machine"]["cores"] >= 1
    assert content["versions"]["torch"]


@pytest.mark.parametrize("text", ["0", "-1", "x", "1,0"])
def test_numbers_below_one_are_refused(text):
    with pytest.raises(ValueError, match=r"at least 1|invalid literal"):
        measuring.positives(text)


def test_fewest_steps_are_taken_at_each_batch_size():
    rows: list[dict[str, Any]] = [
        {"batch_size": 4, "steps": 9},
        {"batch_size": 4, "steps": None},
        {"batch_size": 4, "steps": 7},
        {"batch_size": 8, "steps": None},
    ]
    assert studies.fewest_steps(rows) == {4: 7, 8: None}


def test_trials_must_have_run_the_given_points():
    wanted = {4: [{"lr": 0.1, "momentum": 0.5}, {"lr": 0.2, "momentum": 0.9}]}
    rows = [{"batch_size": 4, **point} for point in reversed(wanted[4])]
    rows[0]["momentum"] = 1 - (1 - 0.9)
    studies.same_points(wanted, rows)
    with pytest.raises(SystemExit, match="batch size 4 did not run the given points"):
        studies.same_points(wanted, [rows[0], rows[0]])


@pytest.mark.slow  # if it is the first to import torch
def test_the_peer_gets_the_points_of_the_sweep(tmp_path):
    study = studies.resolved(studies.digits([16, 64], trials=3, max_steps=50))
    studies.write_job(tmp_path / "job.json", study, studies.points(study), workers=2)
    job = json.loads((tmp_path / "job.json").read_text(encoding="utf-8"))
    assert (job["workload"], job["target"], job["workers"]) == ("digits-mlp", 0.05, 2)
    assert [task["batch_size"] for task in job["tasks"]] == [16, 64]
    for task in job["tasks"]:
        assert len(task["points"]) == 3
        assert task["measured_steps"][0] == 1
        assert task["measured_steps"][-1] == 50


def test_start_up_and_cost_per_trial_come_from_two_sizes():
    fixed, slope = orchestration.line([14, 12, 13], [19, 18, 99], at=10, then=40)
    assert slope == pytest.approx(6 / 30)
    assert fixed == pytest.approx(11)


def test_batch_sizes_are_different_and_evenly_spaced():
    assert spaced(3) == [32, 128, 512]
    sizes = spaced(30)
    assert len(set(sizes)) == 30
    assert sizes == sorted(sizes)
    assert np.mean(np.log(sizes)) == pytest.approx(np.mean(np.log(spaced(3))), rel=0.01)


def test_threads_are_numbers_or_the_default():
    assert threads("1,default") == [1, None]


def test_made_up_curves_reach_the_target_when_they_should():
    lanes = MadeUp().lanes(
        LaneSetup(
            optimizer="nesterov",
            batch_size=100,
            hyperparameters={"lr": np.array([0.1, 100.0]), "momentum": np.array([0.9, 0.0])},
            lr_factor=None,
            seeds=np.array([1, 2]),
        )
    )
    assert lanes.measure()[1] == pytest.approx([0.9, 0.9], rel=0.1)
    lanes.advance(180)
    loss, error = lanes.measure()
    assert error[0] == pytest.approx(0.1, rel=0.1)
    assert np.isnan(loss).tolist() == [False, True]
    lanes.keep(np.array([True, False]))
    assert lanes.measure()[1].shape == (1,)
