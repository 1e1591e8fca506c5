"""A plug-in in a file, and the real command run on it as a user would."""

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal

from analysis.tables.folder import ResultsFolder
from study.config.study import ResolvedStudy
from study.config.study_file import override, read_study
from study.engine.networks.training import Trainable
from study.planning.resolve import resolve

BLOBS = Path(__file__).parents[1] / "blobs.py"
STUDY = """
workload = "blobs.py:Blobs"
batch_sizes = [1, 4, 16, 90]

[search]
trials = 8

[race]
max_steps = 300
cohort = 4

[replicates]
seeds = 0
"""

FOLDER = "TEST_FOLDER"
MEASURED_TIME = ["seconds", "training_seconds", "evaluation_seconds"]


@dataclass(frozen=True)
class Place:
    """A user's folder with a study in it."""

    folder: Path
    run_alone: Callable[[ResultsFolder, ResolvedStudy, Trainable], None]
    commands: list[subprocess.Popen] = field(default_factory=list)

    def start(self, *arguments):
        """Start the command."""
        with interruptible():
            command = subprocess.Popen(
                [Path(sys.executable).with_name("batchscale"), *map(str, arguments)],
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=os.environ | {"COLUMNS": "160", "NO_COLOR": "1", FOLDER: str(self.folder)},
                start_new_session=True,
            )
        self.commands.append(command)
        return command

    def end(self):
        """End the commands that a failed test left running, and close their pipes."""
        for command in self.commands:
            if command.poll() is None:
                os.killpg(command.pid, signal.SIGKILL)
            with command:  # closes the pipes and waits
                pass
        self.commands.clear()

    def processes(self):
        """Return the names of all processes that commands started here, and Ray's, by number."""
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it ended meanwhile
                words = (process / "environ").read_bytes().split(b"\0")
                if f"{FOLDER}={self.folder}".encode() in words:
                    found[int(process.name)] = (process / "cmdline").read_bytes().decode()
        return found

    def run(self, *arguments):
        """Run the command to its end; return exit code, output and errors."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=300)
        return process.returncode, out, err

    def alone(self, results, *settings):
        """Sweeps the study in this process; gives `results`."""
        data = override(read_study(str(self.folder / "study.toml")), settings)
        self.run_alone(ResultsFolder.at(self.folder / results / "study"), *resolve(data))
        return results

    def table(self, name, results="results"):
        """Reads a table of the study without measured time, from a path or a URI."""
        place = results if "://" in str(results) else self.folder / results
        content = (ResultsFolder.at(place) / "study").read(name)
        frame = pd.read_parquet(io.BytesIO(content))
        return frame.drop(columns=MEASURED_TIME, errors="ignore")

    def assert_same_bytes(self, one, other):
        """Compares the files of two results folders byte for byte, but for the measured time."""
        one, other = (self.folder / name / "study" for name in (one, other))
        for name in ("trials.parquet", "curves.parquet", "boxes.parquet"):
            assert timeless(one / name) == timeless(other / name)
        assert (one / "study.toml").read_bytes() == (other / "study.toml").read_bytes()
        # hidden: what a killed writer left, which a sweep deletes when it is a minute old
        assert [p.name for p in sorted((one / "parts").glob("[!.]*"))] == [
            p.name for p in sorted((other / "parts").glob("[!.]*"))
        ]

    def assert_same_tables(self, one, other):
        """Compares the tables of two results folders."""
        for name in ("trials.parquet", "curves.parquet"):
            assert_frame_equal(self.table(name, one), self.table(name, other), check_exact=True)


@contextlib.contextmanager
def interruptible():
    """Start processes that take Ctrl-C even where this one ignores it, as background jobs do."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.SIG_IGN:  # the only handler that a process hands on
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def timeless(path):
    """Return a table without the columns of measured time as the bytes of a parquet file."""
    table = pq.read_table(path)
    table = table.drop_columns([name for name in MEASURED_TIME if name in table.column_names])
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


@pytest.fixture(scope="session")
def make_place(run_alone):
    """Put study.toml and its plug-in into a folder; yield what runs the command there."""

    @contextlib.contextmanager
    def make(folder):
        folder.mkdir(exist_ok=True)
        shutil.copy(BLOBS, folder)
        (folder / "study.toml").write_text(STUDY)
        place = Place(folder, run_alone)
        yield place
        place.end()

    return make


@pytest.fixture
def place(make_place, tmp_path):
    """Yield a folder with study.toml and its plug-in, and what runs the command in it.

    Other files there carry the names of our packages, which they must not hide.
    """
    for name in ("study", "workloads", "analysis"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('hostile')\n")
    with make_place(tmp_path) as place:
        yield place
