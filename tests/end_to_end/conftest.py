"""A plug-in in a file, and the real command run on it as a user would."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

PLUGIN = """
import torch
from torch import nn
from workloads import Data, Examples, Target


class Blobs:
    target = Target(0.1)

    def data(self):
        generator = torch.Generator().manual_seed(1)
        labels = torch.arange(120) % 3
        centres = torch.tensor([[0.0, 2.0], [2.0, -1.0], [-2.0, -1.0]])
        inputs = centres[labels] + torch.randn(120, 2, generator=generator)
        return Data(
            train=Examples(inputs[:90], labels[:90]),
            validation=Examples(inputs[90:], labels[90:]),
        )

    def model(self):
        return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3))

    def loss(self, model, batch):
        return nn.functional.cross_entropy(model(batch.inputs), batch.targets)

    def error(self, model, data):
        return (model(data.inputs).argmax(-1) != data.targets).double().mean()
"""

STUDY = """
workload = "blobs.py:Blobs"
batch_sizes = [1, 4, 16, 90]

[search]
trials = 8

[race]
max_steps = 300
cohort = 4
"""

MEASURED_TIME = ["seconds"]


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
        return frame.drop(columns=MEASURED_TIME)


@pytest.fixture
def place(tmp_path):
    """Gives a folder with study.toml and its plug-in, and what runs the command in it."""
    (tmp_path / "blobs.py").write_text(PLUGIN)
    (tmp_path / "study.toml").write_text(STUDY)
    return Place(tmp_path)
