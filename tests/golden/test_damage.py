"""Damage to any byte of a results folder is noticed before a number is read from it."""

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from analysis.tables.files import read_file
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import PROVENANCE_FILE, STUDY_FILE, SUMMARY_FILE
from analysis.tables.study import read_table
from batchscale.errors import BatchscaleError
from study.storage.parts import is_part, read_part
from study.storage.provenance import differences, record_start
from study.storage.study_folder import read_study_toml

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "search"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return a folder with every kind of file, and the content of each."""
    path = shutil.copytree(GOLDEN, tmp_path_factory.mktemp("golden") / "study")
    record_start(ResultsFolder.at(path), {"workers": 1}, {})
    files = {file: file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}
    return path, files


def read(folder, resolved, name):
    """Read a file as the commands do."""
    if is_part(name):
        return read_part(folder, name, resolved)
    if name.endswith(".parquet"):
        return read_table(folder, name)
    readers = {
        STUDY_FILE: lambda: read_study_toml(folder),
        PROVENANCE_FILE: lambda: differences(folder),
        SUMMARY_FILE: lambda: read_file(folder, SUMMARY_FILE),
    }
    return readers[name]()


def flipped(content, draw):
    bit = draw.randrange(8 * len(content))
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


DAMAGE = (
    *[flipped] * 7,
    lambda content, draw: content[: draw.randrange(len(content))],
    lambda content, draw: content + draw.randbytes(draw.randrange(1, 100)),
    lambda content, draw: draw.randbytes(len(content)),
)


def refused(whole, times, seed):
    """Damage one file at a time, and see that reading it is refused with its name."""
    (path, files), draw, faults = whole, random.Random(seed), []
    folder = ResultsFolder.at(path)
    resolved = read_study_toml(folder)
    for _ in range(times):
        file, damage = draw.choice(list(files)), draw.choice(DAMAGE)
        name = str(file.relative_to(path)).removesuffix(".sha256")
        file.write_bytes(damage(files[file], draw))
        try:
            read(folder, resolved, name)
            faults.append(f"{name} was read")
        except BatchscaleError as error:
            if f"{path / name} must have the digest in" not in str(error):
                faults.append(str(error))
        finally:
            file.write_bytes(files[file])
    assert not faults
    for name in (str(file.relative_to(path)) for file in files if file.suffix != ".sha256"):
        read(folder, resolved, name)  # as it was


def test_five_hundred_damaged_files_are_all_refused(whole):
    refused(whole, 500, seed=14)


@pytest.mark.slow
@pytest.mark.long
def test_ten_thousand_damaged_files_are_all_refused(whole):
    refused(whole, 10_000, seed=2018)


@pytest.mark.parametrize("folder", [ROOT / "results" / "reference", Path(__file__).parent])
def test_the_files_in_the_repository_have_their_digests_and_sha256sum_agrees(folder):
    digests = sorted(folder.rglob("*.sha256"))
    assert len(digests) > 10
    for digest in digests:
        place = ResultsFolder.at(digest.parent)
        assert read_file(place, digest.name.removesuffix(".sha256"))
    check = "find . -name '*.sha256' -execdir sha256sum -c --quiet {} +"
    assert check in (ROOT / "results" / "README.md").read_text()
    subprocess.run(check, shell=True, cwd=folder, check=True, timeout=60)
