"""The script for SLURM and the Dockerfile fit this checkout."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_script_for_slurm_is_sound_shell():
    if (bash := shutil.which("bash")) is None:
        pytest.skip("there is no bash")
    script = ROOT / "examples" / "slurm" / "sweep.sbatch"
    done = subprocess.run([bash, "-n", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = script.read_text().splitlines()
    options = [line for line in lines if line.startswith("#SBATCH")]
    code = [n for n, line in enumerate(lines) if line and not line.startswith("#")]
    # SLURM reads its options up to the first command
    assert options
    assert max(map(lines.index, options)) < code[0]


def test_the_dockerfile_copies_what_the_package_is_made_of():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    copied = {
        name
        for line in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE)
        for name in line.split()
    }
    packages = project["tool"]["setuptools"]["packages"]["find"]["include"]
    wanted = {name.rstrip("*") for name in packages}
    wanted |= {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]}
    assert wanted <= copied
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    for name in copied:
        assert (ROOT / name).exists(), name
        assert f"!{name}" in allowed


def test_the_image_has_a_python_that_the_package_takes_and_the_pinned_torch():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (version,) = re.findall(r"^FROM python:([\d.]+)-slim$", DOCKERFILE, re.MULTILINE)
    assert version in SpecifierSet(project["requires-python"])
    assert re.search(r"^torch==", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
