import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from study.engine.programs.process import Process

ROOT = Path(__file__).parents[4]
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if len(sys.argv) == 1:
    subprocess.Popen([sys.executable, "-IS", __file__, "child"], start_new_session=True)
print("ready", flush=True)
time.sleep(60)
"""
WORKER = """
import os, sys, time
from pathlib import Path
from study.engine.programs.process import Process
printed = Path(sys.argv[1] + ".out"), Path(sys.argv[1] + ".err")
Process([sys.executable, "-IS", sys.argv[1]], dict(os.environ), Path("."), printed)
time.sleep(60)
"""


def start(words, environment, folder):
    return Process(words, environment, folder, (folder / "output", folder / "errors"))


def until(happened):
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def stubborn(tmp_path):
    """Return a program that ignores SIGTERM, and starts another in a session of its own."""
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    return tmp_path / "stubborn.py"


def test_programs_end_with_a_worker_that_is_killed(stubborn, alive):
    marker = f"TEST_MARK={stubborn}"
    environment = os.environ | {"TEST_MARK": str(stubborn)}
    words = [sys.executable, "-c", WORKER, str(stubborn)]
    with subprocess.Popen(words, cwd=ROOT, env=environment) as worker:
        until(lambda: len(alive(marker)) == 4)  # worker, guard, program and child
        worker.send_signal(signal.SIGKILL)
    until(lambda: not alive(marker))


def test_closing_kills_what_a_program_left_behind(stubborn, alive):
    marker = f"TEST_MARK={stubborn}"
    # the program itself has ended; its child goes on in a session of its own
    leaving = STUBBORN.replace("time.sleep(60)", "time.sleep(60 * (len(sys.argv) - 1))")
    stubborn.write_text(leaving)
    environment = os.environ | {"TEST_MARK": str(stubborn)}
    process = start([sys.executable, "-IS", str(stubborn)], environment, stubborn.parent)
    until(lambda: process.exit_code is not None)
    assert alive(marker)
    process.close()
    assert not alive(marker)
    # once or twice: the child may have been killed before it came to that
    assert set((stubborn.parent / "output").read_text().splitlines()) == {"ready"}


def test_a_program_that_is_missing_leaves_nothing(tmp_path, alive):
    environment = os.environ | {"TEST_MARK": str(tmp_path)}
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        start(["no-such-program"], environment, tmp_path)
    assert not alive(f"TEST_MARK={tmp_path}")


def test_its_memory_is_the_sum_over_all_its_processes(stubborn):
    process = start([sys.executable, "-IS", str(stubborn)], dict(os.environ), stubborn.parent)
    try:
        until(lambda: process.memory() > 10_000_000)  # two interpreters
    finally:
        process.close()
