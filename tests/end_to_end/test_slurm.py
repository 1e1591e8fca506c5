"""The script for SLURM, on a cluster of two Ray nodes of this machine in place of two machines."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.long]

SCRIPT = Path(__file__).parents[2] / "examples" / "slurm" / "sweep.sbatch"
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do
    [[ $1 == --nodelist=second ]] && export RAY_TMPDIR=$RAY_TMPDIR-second
    shift
done
ports="--min-worker-port=0 --max-worker-port=0 --dashboard-agent-listen-port=0"
exec "$@" --object-store-memory=100000000 $ports
"""


@pytest.fixture
def job(place, tmp_path_factory):
    """Return what runs the script as SLURM would."""
    tools = tmp_path_factory.mktemp("slurm")
    for name, text in {"srun": SRUN, "scontrol": "#!/bin/sh\necho first\necho second\n"}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    short = f"/tmp/slurm-{os.getpid()}"  # Ray makes sockets there
    environment = {
        "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SLURM_JOB_NODELIST": "first,second",
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_CPUS_PER_TASK": "1",
        "RAY_TMPDIR": short,
        "TEST_FOLDER": str(place.folder),
    }

    def run(*arguments):
        return subprocess.run(
            ["bash", SCRIPT, *arguments],
            cwd=place.folder,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=500,
        )

    yield run
    for folder in (short, f"{short}-second"):
        shutil.rmtree(folder, ignore_errors=True)


def test_a_job_starts_a_cluster_sweeps_and_ends_it(place, job):
    done = job("study.toml", "--set", "search.trials=4", "--set", "batch_sizes=[4,16]")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 trials recorded, 0 failed" in done.stdout
    trials = pd.read_parquet(place.folder / "results/study/trials.parquet")
    assert len(trials) == 8
    assert not place.processes()


def test_wrong_input_ends_the_job_with_its_code(place, job):
    done = job("study.toml", "--set", "search.trials=none")
    assert done.returncode == 2
    assert "search.trials must be" in done.stdout + done.stderr
    assert not place.processes()
