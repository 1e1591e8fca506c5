"""Foreign packages of our names are reported with their files and a remedy."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from batchscale.packages import PACKAGES, find_clash

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(tmp_path):
    """Make a folder with our packages, as if installed there, and nothing else of the project."""
    home = tmp_path / "site-packages"
    for name in ("batchscale", *PACKAGES):
        shutil.copytree(ROOT / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
    return home


def command(home, cwd, *first, code=None):
    """Run the command, or code, with these folders first on Python's path."""
    path = os.pathsep.join(map(str, (*first, home)))
    run = ["-m", "batchscale", "workloads"] if code is None else ["-c", code]
    return subprocess.run(
        [sys.executable, *run],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )


def assert_refused(done, *files):
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr
    for file in files:
        assert str(file) in done.stderr


def test_our_own_packages_pass(installed, tmp_path):
    assert find_clash() is None
    done = command(installed, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_that_comes_first_is_named(installed, tmp_path, name):
    other = tmp_path / "other" / name / "__init__.py"
    other.parent.mkdir(parents=True)
    other.write_text("")
    done = command(installed, tmp_path, tmp_path / "other")
    assert_refused(done, other, installed / name / "__init__.py")


def test_a_module_in_the_current_folder_is_named(installed, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    (work / "study.py").write_text("raise SystemExit('somebody ran me')\n")
    assert_refused(command(installed, work), work / "study.py", installed / "study" / "__init__.py")


def test_a_package_that_was_overwritten_is_named(installed, tmp_path):
    ours = installed / "study" / "__init__.py"
    ours.write_text("x = 1\n")
    record = installed / "otherlab-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: otherlab\nVersion: 1.0\n")
    (record / "RECORD").write_text("study/__init__.py,,\n")
    done = command(installed, tmp_path)
    assert_refused(done, ours, "otherlab 1.0")


def test_a_package_that_was_removed_is_named(installed, tmp_path):
    ours = installed / "study" / "__init__.py"
    ours.unlink()
    done = command(installed, tmp_path)
    assert_refused(done, ours, "removed it")


def test_the_library_says_the_same(installed, tmp_path):
    (installed / "analysis" / "__init__.py").write_text("")
    done = command(installed, tmp_path, code="import batchscale; batchscale.load('x')")
    assert "ImportError: " in done.stderr
    assert "analysis/__init__.py must be the file that batchscale installed" in done.stderr
