"""Commands on a folder with a damaged file: each refuses what it would read, and writes nothing."""

import random
import shutil
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import batchscale
from analysis.tables.files import write_file, write_table
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import PROVENANCE_FILE, STUDY_FILE, SUMMARY_FILE
from batchscale.errors import BatchscaleError
from study.storage.parts import is_part
from study.storage.provenance import record_start

GOLDEN = Path(__file__).parents[3] / "golden" / "search"
PART, OTHER = (f"parts/b00064-c00{n}.parquet" for n in (0, 6))


@pytest.fixture
def study(command):
    """Return the folder `study`, which has every kind of file."""
    path = shutil.copytree(GOLDEN, Path("study"))
    record_start(ResultsFolder.at(path), {"workers": 1}, {})
    return path


def flip(file):
    content = bytearray(file.read_bytes())
    bit = random.Random(file.name).randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


def contents():
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}


TABLES = ["trials.parquet", "curves.parquet", "boxes.parquet"]
READ_ONLY = (["status"], ["diagnose"], ["analyze"], ["export"], ["compare", "golden"])
"""Commands that are to refuse, before they write anything, what they would read."""


def commands_reading(name):
    """Return the commands on a folder with parts that read a file."""
    if name == STUDY_FILE:
        return READ_ONLY
    if is_part(name):
        return READ_ONLY[:3]
    return READ_ONLY[3:] if name in TABLES else ()


@pytest.mark.parametrize("name", [STUDY_FILE, PROVENANCE_FILE, PART, *TABLES, SUMMARY_FILE])
@pytest.mark.parametrize("damaged", ["", ".sha256"])
def test_every_command_refuses_what_it_reads(command, study, name, damaged):
    shutil.copytree(GOLDEN, "golden")
    flip(study / f"{name}{damaged}")
    before = contents()
    for verb, *options in commands_reading(name):
        code, out, err = command(verb, "study", *options)
        assert (code, out) == (2, "")
        assert err.startswith(f"error: study/{name} must have the digest in")
    code, out, _ = command("verify", "study", "--no-replay")
    assert code == 1
    assert f"study/{name} must have the digest in" in out
    if name in (STUDY_FILE, PART):
        with pytest.raises(BatchscaleError, match="must have the digest in"):
            batchscale.load("study")
    assert contents() == before


@pytest.mark.parametrize("verb", ["plan", "sweep"])
def test_the_damaged_study_file_of_a_folder_is_refused_as_a_study_file(command, study, verb):
    flip(study / STUDY_FILE)
    code, _, err = command(verb, study / STUDY_FILE)
    assert code == 2
    assert err.startswith(f"error: study/{STUDY_FILE} must have the digest in")
    assert not Path("results").exists()


@pytest.mark.parametrize("name", TABLES)
def test_without_parts_damaged_tables_are_refused(refused, study, name):
    shutil.rmtree(study / "parts")
    flip(study / name)
    for verb in ("analyze", "export"):
        assert f"study/{name} must have the digest in" in refused(verb, "study")
    with pytest.raises(BatchscaleError, match=f"{name} must have the digest in"):
        batchscale.load("study")


def test_damaged_tables_are_made_again_from_the_parts(command, study, monkeypatch):
    monkeypatch.setattr("analysis.figures.drawing.kind.write_all", lambda *_: [])
    for name in TABLES:
        (study / name).write_bytes(b"")
    assert len(batchscale.load("study").trials) == len(batchscale.load(GOLDEN).trials)
    assert command("analyze", "study")[0] == 0
    assert command("compare", "study", str(GOLDEN), "--to", "compared")[0] == 0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("trials.parquet", "other trials in curves.parquet than in trials.parquet"),
        ("curves.parquet", "other steps to target in trials.parquet than in curves.parquet"),
        ("boxes.parquet", "another range of lr in boxes.parquet than in study.toml"),
        (STUDY_FILE, "other steps to target in trials.parquet than in curves.parquet and study"),
    ],
)
def test_without_parts_a_file_of_another_study_is_refused(refused, study, name, words):
    shutil.rmtree(study / "parts")
    folder = ResultsFolder.at(study)
    if name == STUDY_FILE:
        content = (study / name).read_bytes()
        write_file(folder, name, content.replace(b"target = 0.2", b"target = 0.4"))
    else:
        table = pq.read_table(study / name)
        changed = table.slice(1) if name == "trials.parquet" else table
        for column in {"curves.parquet": ["val_error"], "boxes.parquet": ["low"]}.get(name, []):
            place = table.column_names.index(column)
            half = pc.multiply(table[column], 0.5)
            changed = table.set_column(place, table.schema.field(place), half)
        write_table(folder, name, changed)
    assert f"the files in study must be of one study, got {words}" in refused("analyze", "study")


def test_a_part_in_the_place_of_another_is_refused_with_its_own_digest(refused, command, study):
    digest = (study / f"{OTHER}.sha256").read_text()
    shutil.copy(study / OTHER, study / PART)
    (study / f"{PART}.sha256").write_text(digest)
    assert f"study/{PART} must have the digest in" in command("status", "study")[2]
    (study / f"{PART}.sha256").write_text(digest.replace(Path(OTHER).name, Path(PART).name))
    for verb in ("status", "analyze"):
        assert f"got a trial of {OTHER} in study/{PART}; delete it" in refused(verb, "study")


@pytest.mark.parametrize("name", [STUDY_FILE, PART])
def test_a_lost_digest_is_refused_with_the_command_that_accepts_the_file(refused, study, name):
    (study / f"{name}.sha256").unlink()
    err = refused("analyze", "study")
    assert f"study/{name} must have a digest file" in err
    assert f"`sha256sum {Path(name).name} > {Path(name).name}.sha256`" in err
