"""Sweeps that are killed or stopped: nothing is lost, nothing runs twice, no process is left."""

import contextlib
import functools
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter

import pyarrow.parquet as pq
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("kills")]  # they share the undisturbed

ORPHAN_SECONDS = 30
SIZES = (1, 4, 16, 90)
SHORT = ("--workers", 2, "--set", "search.trials=24")
BUDGET = "race={to='budget', max_steps=1500, cohort=4}"
LONG = ("--workers", 2, "--set", "search.trials=64", "--set", BUDGET)
UNDER_RAY = (*LONG, "--ray")
WIDTHS = pytest.mark.parametrize("width", [LONG, UNDER_RAY], ids=["forked", "ray"])
RESUME_HINT = "results are saved; run the same command to resume"


@pytest.fixture(scope="module")
def place(make_place, tmp_path_factory):
    """Yield a folder whose name has blanks and letters that are not ASCII."""
    with make_place(tmp_path_factory.mktemp("kills") / "größere Stapel, 批量") as place:
        yield place


@pytest.fixture(scope="module")
def undisturbed(place):
    """Return the name of results that nobody disturbed."""
    return functools.cache(lambda width: place.alone(f"whole {len(width)}", *width[3::2]))


class Sweep:
    """A sweep that runs, and what there is of it."""

    def __init__(self, place, width, results):
        self.place, self.width, self.results = place, width, results
        self.folder = place.folder / results / "study"
        self.command = place.start("sweep", "study.toml", "--results", results, *width)

    @property
    def parts(self):
        return {path.name: path.stat().st_mtime_ns for path in self.folder.glob("parts/b*.parquet")}

    def until_parts(self, count):
        wait_until(lambda: len(self.parts) >= count or self.command.poll() is not None, 180)
        return self

    def processes(self, *names):
        found = self.place.processes()
        return [pid for pid, name in found.items() if any(part in name for part in names)]

    def workers(self):
        """Return the processes that train, by number; empty before they have started."""
        if "--ray" in self.width:
            return self.processes("ray::RaceTrainable", "ray::ResourceTrainable")
        return [pid for pid in self.processes("batchscale") if pid != self.command.pid]

    def ended(self, seconds=60):
        """Wait for its end, and that of all that it started; return exit code, output, errors."""
        out, err = self.command.communicate(timeout=seconds)
        deadline = time.monotonic() + ORPHAN_SECONDS
        while left := self.place.processes():
            assert time.monotonic() < deadline, left
            time.sleep(0.1)
        return self.command.returncode, out, err


def wait_until(happened, seconds):
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def assert_undisturbed(sweep, whole):
    """Compares the parts themselves too: tables drop what is there twice."""
    found = Counter(
        (row["batch_size"], row["trial"])
        for part in sweep.folder.glob("parts/b*.parquet")
        for row in pq.read_table(part, columns=["batch_size", "trial"]).to_pylist()
    )
    trials = max(trial for _, trial in found) + 1
    assert found == {(size, trial): 1 for size in SIZES for trial in range(trials)}
    sweep.place.assert_same_bytes(sweep.results, whole)


def assert_goes_on(sweep, undisturbed):
    """Run the same command again: it adds what is missing, and all is as if never disturbed."""
    recorded = sweep.parts
    assert 3 <= len(recorded) < len(SIZES) * 64 / 4
    again = ("sweep", "study.toml", "--results", sweep.results, *sweep.width)
    code, _, err = sweep.place.run(*again)
    assert code == 0, err
    assert sweep.parts.items() >= recorded.items()
    assert_undisturbed(sweep, undisturbed(sweep.width))


def test_a_sweep_that_is_killed_and_then_stopped_goes_on_to_the_same_tables(place, undisturbed):
    draw = random.Random(2018)
    killed = Sweep(place, SHORT, "hit").until_parts(draw.randrange(2, 8))
    time.sleep(moment := draw.uniform(0, 0.2))
    print(f"killed {moment:.3f} s after {len(killed.parts)} parts")
    killed.command.kill()
    assert killed.ended()[0] == -signal.SIGKILL
    recorded = killed.parts
    assert 2 <= len(recorded) < 24

    stopped = Sweep(place, SHORT, "hit").until_parts(len(recorded) + 3)
    os.killpg(stopped.command.pid, signal.SIGINT)  # a terminal tells the whole group
    code, out, err = stopped.ended()
    assert code == 130, err
    assert err.startswith("\nstopping: saving the cohorts in training")
    assert f"stopped; {RESUME_HINT}" in out
    assert "Traceback" not in err
    assert f"{4 * len(stopped.parts)} trials recorded" in out
    assert len(recorded) < len(stopped.parts) < 24
    recorded = stopped.parts

    code, _, err = place.run("sweep", "study.toml", "--results", "hit", *SHORT)
    assert code == 0, err
    assert stopped.parts.items() >= recorded.items()
    assert_undisturbed(stopped, undisturbed(SHORT))


@pytest.mark.long
@pytest.mark.parametrize("width", [SHORT, (*SHORT, "--ray")], ids=["forked", "ray"])
def test_a_driver_killed_at_twenty_random_moments_loses_nothing(place, undisturbed, width):
    undisturbed(width)
    started = time.monotonic()
    assert Sweep(place, width, "timed").ended(300)[0] == 0
    whole = time.monotonic() - started
    draw, kills = random.Random(1811), 0
    while kills < 20:
        sweep = Sweep(place, width, "many times")
        recorded = len(sweep.parts)
        if draw.random() < 0.3:  # any moment, from the first import on
            with contextlib.suppress(subprocess.TimeoutExpired):
                sweep.command.wait(timeout=draw.uniform(0, whole))
        else:  # most of them while cohorts race
            sweep.until_parts(recorded + draw.randrange(1, 5))
            time.sleep(draw.uniform(0, 0.3))
        sweep.command.kill()
        code, _, err = sweep.ended()
        kills += code == -signal.SIGKILL
        print(f"exit {code}, {recorded} parts before, {len(sweep.parts)} after")
        if kills < 20 and len(sweep.parts) < 18:
            continue
        code, _, err = place.run("sweep", "study.toml", "--results", "many times", *width)
        assert code == 0, err
        assert_undisturbed(sweep, undisturbed(width))
        shutil.rmtree(sweep.folder)  # the next is killed on its way too


@pytest.mark.long
@pytest.mark.parametrize("way", [(), ("--ray",)], ids=["forked", "ray"])
def test_a_sweep_that_is_stopped_saves_what_trains(place, request, way):
    budget = "race={to='budget', max_steps=60000, cohort=4}"
    width = ("--workers", 1, "--set", "batch_sizes=[4]", "--set", "search.trials=4")
    whole = place.alone("whole cohort", *width[3::2], budget)
    sweep = Sweep(place, (*width, "--set", budget, *way), request.node.name)
    wait_until(sweep.workers, 120)
    time.sleep(3)  # a first measurement; the cohort takes many times as long
    os.kill(sweep.command.pid, signal.SIGINT)
    code, out, err = sweep.ended()
    assert code == 130, err
    assert not sweep.parts
    (step,) = re.findall(r"checkpoint .*b00004-c000.pt was written at step ([\d,]+),", out)
    code, out, err = place.run("sweep", "study.toml", "--results", sweep.results, *sweep.width)
    assert code == 0, err
    assert f"resumed at step {step}" in out
    place.assert_same_bytes(sweep.results, whole)
    assert not (sweep.folder / "checkpoints").exists()


@pytest.mark.long
@WIDTHS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_ends_at_once(place, undisturbed, request, number, width):
    sweep = Sweep(place, width, request.node.name).until_parts(3)
    os.killpg(sweep.command.pid, signal.SIGINT)
    time.sleep(0.1)
    started = time.monotonic()
    os.kill(sweep.command.pid, number)
    sweep.command.wait(timeout=20)
    assert time.monotonic() - started < 2
    code, out, err = sweep.ended()
    assert code == 130
    # where the first signal has stopped the sweep within 0.1 s, the second one finds it leaving
    assert f"quit; {RESUME_HINT}" in err or f"stopped; {RESUME_HINT}" in out
    assert_goes_on(sweep, undisturbed)


@pytest.mark.long
@WIDTHS
def test_a_sweep_that_is_terminated_ends_as_one_that_is_stopped(place, undisturbed, request, width):
    sweep = Sweep(place, width, request.node.name).until_parts(3)
    sweep.command.terminate()
    code, out, err = sweep.ended()
    assert code == 143, err
    assert f"stopped; {RESUME_HINT}" in out
    assert_goes_on(sweep, undisturbed)


@pytest.mark.long
@WIDTHS
def test_a_signal_to_all_processes_is_one_to_stop(place, undisturbed, request, width):
    sweep = Sweep(place, width, request.node.name).until_parts(3)
    os.killpg(sweep.command.pid, signal.SIGTERM)  # as `timeout` and some schedulers do
    code, out, err = sweep.ended()
    assert code == 143, err
    assert RESUME_HINT in out + err
    assert "died" not in err
    assert_goes_on(sweep, undisturbed)


@pytest.mark.long
@pytest.mark.parametrize("daemon", ["raylet/raylet", "gcs_server"], ids=["raylet", "gcs"])
def test_a_sweep_whose_ray_dies_ends_and_says_so(place, undisturbed, request, daemon):
    sweep = Sweep(place, UNDER_RAY, request.node.name).until_parts(3)
    (pid,) = sweep.processes(daemon)
    os.kill(pid, signal.SIGKILL)
    code, _, err = sweep.ended()
    assert code == 1
    assert f"died; {RESUME_HINT}" in err
    assert_goes_on(sweep, undisturbed)


@pytest.mark.long
@WIDTHS
def test_a_worker_that_is_killed_costs_its_cohort_until_the_next_sweep(
    place, undisturbed, request, width
):
    sweep = Sweep(place, width, request.node.name).until_parts(3)
    os.kill(sweep.workers()[0], signal.SIGKILL)
    code, out, err = sweep.ended(180)
    assert code == 1, err
    assert "the worker died in cohort" in out
    assert "run the same `sweep` again to retrain it" in out
    assert len(sweep.parts) > 3
    assert_goes_on(sweep, undisturbed)
