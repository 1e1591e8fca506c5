"""A plug-in in a file, and the real command run on it as a user would."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

BLOBS = Path(__file__).parents[1] / "blobs.py"
STUDY = """
workload = "blobs.py:Blobs"
batch_sizes = [1, 4, 16, 90]

[search]
trials = 8

[race]
max_steps = 300
cohort = 4
"""

MEASURED_TIME = ["seconds", "training_seconds", "evaluation_seconds"]


@dataclass(frozen=True)
class Place:
    """A user's folder with a study in it."""

    folder: Path

    def start(self, *arguments):
        """Starts the command."""
        return subprocess.Popen(
            [Path(sys.executable).with_name("batchscale"), *map(str, arguments)],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"COLUMNS": "160", "NO_COLOR": "1"},
            start_new_session=True,
        )

    def run(self, *arguments):
        """Runs the command to its end; gives exit code, output and errors."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=300)
        return process.returncode, out, err

    def table(self, name, results="results"):
        """Reads a table without measured time."""
        frame = pd.read_parquet(self.folder / results / "study" / name)
        return frame.drop(columns=MEASURED_TIME, errors="ignore")


@pytest.fixture
def place(tmp_path):
    """Gives a folder with study.toml and its plug-in, and what runs the command in it."""
    shutil.copy(BLOBS, tmp_path)
    (tmp_path / "study.toml").write_text(STUDY)
    return Place(tmp_path)
