"""Programs swept by the real command: the examples, and what is left of them by kills and stops."""

import contextlib
import importlib.util
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.long]

EXAMPLES = Path(__file__).parents[2] / "examples" / "programs"
TRAIN = """
import json, os, sys, time
lr, steps = float(sys.argv[1]), int(sys.argv[2])
resumed = os.environ["BATCHSCALE_RESUME"]
path = os.path.join(os.environ["BATCHSCALE_CHECKPOINT"], "step")
first = int(open(path).read()) if resumed == "1" else 0
with open("starts", "a") as starts:
    starts.write(resumed + "\\n")
for step in range(first, steps + 1, 10):
    error = max(0.0, 0.9 - step / 1000 * lr)
    print(json.dumps({"step": step, "val_error": error, "val_loss": error}), flush=True)
    with open(path + ".new", "w") as file:
        file.write(str(step))
    os.replace(path + ".new", path)
    time.sleep(0.05)
"""
STUDY = """
workload = "command"
batch_sizes = [4]
[workload_options]
folder = "{folder}"
run = "{python} -IS train.py {lr} {max_steps}"
target = 0.3
[search]
trials = 4
space.lr = {low = 1.0, high = 4.0, scale = "log"}
[race]
max_steps = 1000
cohort = 2
[replicates]
seeds = 1
"""


@pytest.fixture
def programs(place):
    """Return a place whose study is one of a slow program that saves its steps."""
    (place.folder / "study.toml").write_text(STUDY.replace("{folder}", str(place.folder)))
    (place.folder / "train.py").write_text(TRAIN)
    return place


def until(happened):
    deadline = time.monotonic() + 180
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def saved(place, results):
    """Return whether a program that trains has saved some steps."""
    for path in (place.folder / results).glob("study/checkpoints/*/*/checkpoint/step"):
        with contextlib.suppress(OSError, ValueError):  # removed, or being written
            if int(path.read_text()) >= 50:
                return True
    return False


def worker(place):
    found = place.processes()
    return next(pid for pid, name in found.items() if "ray::" in name and "Trainable" in name)


@pytest.mark.parametrize(
    ("whom", "number", "code"),
    [
        ("sweep", signal.SIGINT, 130),
        ("sweep", signal.SIGKILL, -signal.SIGKILL),
        ("worker", signal.SIGKILL, 1),
    ],
)
def test_programs_end_with_their_sweep_and_go_on_with_the_next(programs, whom, number, code):
    way = ("--ray",) if whom == "worker" else ()  # where a worker has a name
    command = programs.start("sweep", "study.toml", "--results", "hit", "--workers", 1, *way)
    until(lambda: saved(programs, "hit"))
    os.kill(command.pid if whom == "sweep" else worker(programs), number)
    out, err = command.communicate(timeout=120)
    assert command.returncode == code, out + err
    until(lambda: not programs.processes())
    before = (programs.folder / "starts").read_text().split()
    again, out, err = programs.run("sweep", "study.toml", "--results", "hit", "--workers", 2)
    assert again == 0, out + err
    starts = (programs.folder / "starts").read_text().split()[len(before) :]
    # the one that was interrupted, unless it reached the target before it was killed too
    assert starts.count("1") == 1 or (number == signal.SIGKILL and "1" not in starts)
    programs.assert_same_tables("hit", programs.alone("whole"))
    assert not (programs.folder / "hit/study/checkpoints").exists()


@pytest.mark.parametrize("name", ["standard_library", "plain_torch", "distributed", "hugging_face"])
def test_every_example_sweeps(make_place, tmp_path, name):
    if name == "hugging_face" and importlib.util.find_spec("transformers") is None:
        pytest.skip("transformers is not installed: pip install transformers accelerate")
    with make_place(tmp_path / "user") as place:
        shutil.copytree(EXAMPLES, place.folder, dirs_exist_ok=True)
        few = ("--set", "search.trials=3", "--set", "batch_sizes=[16,64]")
        code, out, err = place.run("sweep", f"{name}.toml", *few, "--set", "replicates.seeds=1")
        assert code == 0, out + err
        reached = out.count("best ")
        assert reached >= 2, out
        code, out, err = place.run("analyze", f"results/{name}")
        assert code == 0, out + err
