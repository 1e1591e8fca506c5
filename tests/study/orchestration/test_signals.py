"""Signals, and what is left of processes: each in a process of its own, which may be killed."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# a background job of a shell ignores SIGINT, and so do the processes that it starts
TAKES_SIGNALS = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
"""
LISTENS = """
import signal, sys, time
from study.orchestration.signals import listening
with listening() as stop:
    print("ready", flush=True)
    while not stop.requested:
        time.sleep(0.01)
    print("asked", stop.exit_code, flush=True)
    time.sleep({0})
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
sys.exit(stop.exit_code)
"""
LEAVES = """
import signal, sys, time
from study.orchestration.signals import ignore_signals, listening
with listening() as stop:
    print("ready", flush=True)
    while not stop.requested:
        time.sleep(0.01)
ignore_signals()
print("leaving", flush=True)
sys.stdin.readline()
sys.exit(stop.exit_code)
"""
BUSY = """
import hashlib, os, threading, time
from study.orchestration.signals import leave, listening
with listening() as stop:
    def watch():
        while not stop.requested:
            stop.catch_up()
            time.sleep(0.01)
        leave(stop.exit_code, "seen")
    threading.Thread(target=watch).start()
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**30)  # minutes in which no handler runs
"""
ORPHANS = """
import os, subprocess, sys, time
from pathlib import Path
from study.orchestration.signals import no_orphans
here = Path("here").resolve()
here.mkdir()
agent, silent = Path.cwd() / "ray::Agent", {{"stdout": -3, "stderr": -3}}
agent.symlink_to("/bin/sleep")
with no_orphans(here):
    left = [
        subprocess.Popen(["sleep", "60"], **silent),
        subprocess.Popen([agent, "60"], cwd=here, env={{}}, **silent),
        subprocess.Popen([agent, "60"], env={{}}, **silent),
    ]
    print(*(process.pid for process in left), flush=True)
    {0}
"""


@pytest.fixture
def start():
    """Return what runs code in a process that takes signals even where this one ignores them."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with contextlib.ExitStack() as end:

        def run(code):
            command = [sys.executable, "-c", TAKES_SIGNALS + code]
            process = end.enter_context(subprocess.Popen(command, text=True, **pipes))
            end.callback(process.kill)  # where a failed test left it running
            return process

        yield run


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_requests_a_stop(number, start):
    process = start(LISTENS.format(0))
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert out == f"asked {128 + number}\n"
    assert process.returncode == 128 + number
    assert (
        err == "\nstopping: saving the cohorts in training takes up to twenty seconds; "
        "press Ctrl-C again to quit now\n"
    )


def test_the_second_signal_ends_at_once(start):
    process = start(LISTENS.format(60))
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "asked 130\n"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "quit; results are saved; run the same command to resume" in err


def test_a_signal_does_not_change_the_exit_code_of_a_process_that_leaves(start):
    process = start(LEAVES)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "leaving\n"
    process.send_signal(signal.SIGTERM)
    process.communicate("\n", timeout=30)
    assert process.returncode == 130


def test_a_signal_is_seen_while_the_main_thread_cannot_take_it(start):
    process = start(BUSY)
    process.stdout.readline()
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 143
    assert err.endswith("\nseen\n")


def test_a_signal_that_is_ignored_stays_so(start):
    ignoring = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    process = start(ignoring + LISTENS.format(0).split("assert")[0])
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30)[0] == "asked 143\n"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Ray has a reaper of its own")
@pytest.mark.parametrize(
    ("end", "stay"),
    [("time.sleep(60)", [False, False, True]), ("sys.exit()", [True, True, True])],
    ids=["killed", "orderly"],
)
def test_a_process_leaves_none_of_its_own_behind(monkeypatch, tmp_path, end, stay, start):
    monkeypatch.chdir(tmp_path)
    process = start(ORPHANS.format(end))
    left = [Path("/proc", word) for word in process.stdout.readline().split()]
    if end != "sys.exit()":
        process.kill()
    process.communicate(timeout=30)
    deadline = time.monotonic() + 20
    while [runs(one) for one in left] != stay:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1.5 if all(stay) else 0)  # by then a guard that was not told would have killed
    assert [runs(one) for one in left] == stay
    for one in left:
        if runs(one):
            os.kill(int(one.name), signal.SIGKILL)


def runs(process):
    """Return whether a process is there and more than a zombie."""
    try:
        return process.joinpath("stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_death_of_rays_daemon_ends_the_process_with_a_message(tmp_path, start):
    daemon = tmp_path / "raylet"
    daemon.symlink_to("/bin/sleep")
    code = (
        "import subprocess, time; from study.orchestration.signals import Stop, ray_watched\n"
        f"raylet = subprocess.Popen(['{daemon}', '60'])\n"
        "with ray_watched(Stop()):\n"
        "    raylet.kill(); time.sleep(60)\n"
    )
    process = start(code)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "the sweep failed: Ray's raylet died; results are saved" in err


def test_the_orderly_end_of_rays_daemon_is_not_reported(tmp_path, start):
    daemon = tmp_path / "raylet"
    daemon.symlink_to("/bin/sleep")
    code = (
        "import subprocess; from study.orchestration.signals import Stop, ray_watched\n"
        f"raylet = subprocess.Popen(['{daemon}', '60'])\n"
        "with ray_watched(Stop()):\n"
        "    pass\n"
        "raylet.kill(); raylet.wait()\n"
    )
    process = start(code)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
