"""What needs no training imports nothing large: `status`, help and refusals come at once."""

import subprocess
import sys
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[2] / "golden" / "search"
HEAVY = ("torch", "ray", "optuna", "pandas", "scipy", "matplotlib", "sklearn")
LIGHT = {
    "help": (["--help"], 0),
    "version": (["--version"], 0),
    "help of a command": (["sweep", "-h"], 0),
    "workloads": (["workloads"], 0),
    "unknown option": (["status", "--colour", "x"], 2),
    "status": (["status", str(GOLDEN)], 0),
    "no folder to show": (["status", "nowhere"], 2),
    "no folder to analyze": (["analyze", "nowhere"], 2),
    "no folders to compare": (["compare", "nowhere", "nor here"], 2),
    "no folder to verify": (["verify", "nowhere"], 2),
    "no folder to cost": (["cost", "nowhere"], 2),
    "no folder to train again": (["diagnose", "nowhere"], 2),
    "no folder to export": (["export", "nowhere"], 2),
    "no study file": (["sweep", "missing.toml"], 2),
    "no workload": (["sweep", "digits-mpl"], 2),
    "no workload to check": (["check", "digits-mpl"], 2),
    "no key": (["plan", "digits-mlp", "--set", "optimiser=sgd"], 2),
}
RUN = """
import sys
from study.commands.app import main
for arguments, code in CASES:
    sys.argv = ["batchscale", *arguments]
    try:
        main()
        ended = 0
    except SystemExit as end:
        ended = end.code or 0
    found = [name for name in HEAVY if name in sys.modules]
    assert (ended, found) == (code, []), (arguments, ended, found)
"""


def run(cases):
    return subprocess.run(
        [sys.executable, "-c", f"CASES = {cases!r}\nHEAVY = {HEAVY!r}\n{RUN}"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_commands_that_do_not_train_import_nothing_large():
    done = run(list(LIGHT.values()))  # one process: what one imports would be there for the next
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_import_check_notices_an_import():
    done = run([(["check", "noisy-quadratic"], 0)])
    assert "AssertionError: (['check', 'noisy-quadratic'], 0, ['torch'" in done.stderr
