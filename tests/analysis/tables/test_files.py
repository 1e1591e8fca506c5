"""A file and its digest: what is read is what was written, whenever a writer was killed."""

import hashlib
import re
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.errors import AnalysisError
from analysis.tables import files
from analysis.tables.files import read_file, read_table_file, write_file, write_table
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import STUDY_FILE, TRIALS_FILE

OLD, NEW = b"old content\n", b"new content, longer\n"
DIGEST = f"{STUDY_FILE}.sha256"


class KilledError(Exception):
    """Stands for a signal that ends the writer."""


@pytest.fixture(params=["path", "s3 URI"])
def folder(request, tmp_path):
    """Return a results folder on a disk and in an object store."""
    if request.param == "path":
        return ResultsFolder.at(tmp_path / "study")
    return ResultsFolder.at(request.getfixturevalue("store").uri("study"))


@pytest.fixture
def killed(monkeypatch):
    """Return what replaces a file by a writer that is killed before its n-th write."""

    def replace(folder, writes, content=NEW):
        done, write = [], ResultsFolder.write

        def counting(folder, name, content):
            if len(done) == writes:
                raise KilledError
            done.append(name)
            write(folder, name, content)

        with monkeypatch.context() as patch:
            patch.setattr(ResultsFolder, "write", counting)
            with pytest.raises(KilledError):
                write_file(folder, STUDY_FILE, content)

    return replace


def test_what_is_written_is_read_with_a_digest_as_sha256sum_has_it(folder):
    for content in (OLD, NEW, NEW, b""):
        write_file(folder, STUDY_FILE, content)
        assert read_file(folder, STUDY_FILE) == content
        line = f"{hashlib.sha256(content).hexdigest()}  {STUDY_FILE}\n"
        assert folder.read(DIGEST).decode() == line


def test_a_killed_writer_leaves_a_new_file_whole_or_absent(folder, killed):
    killed(folder, 1)
    assert folder.read(DIGEST)
    assert folder.is_empty  # of results, so that the same sweep may start in it
    with pytest.raises(AnalysisError, match=r"must hold study\.toml, got none"):
        read_file(folder, STUDY_FILE)
    killed(folder, 2, OLD)  # what is trained again has other bytes: its times differ
    assert read_file(folder, STUDY_FILE) == OLD


@pytest.mark.parametrize("earlier", range(3))
@pytest.mark.parametrize("writes", range(3))
def test_a_killed_writer_leaves_the_old_content_or_the_new(folder, killed, earlier, writes):
    write_file(folder, STUDY_FILE, OLD)
    killed(folder, earlier, b"between")
    there = read_file(folder, STUDY_FILE)
    assert there == (b"between" if earlier == 2 else OLD)
    killed(folder, writes)
    assert read_file(folder, STUDY_FILE) == (NEW if writes == 2 else there)
    write_file(folder, STUDY_FILE, b"last")
    assert read_file(folder, STUDY_FILE) == b"last"
    assert folder.read(DIGEST).count(b"\n") == 1


@pytest.mark.parametrize("before", [None, OLD])
def test_a_file_replaced_during_a_read_is_not_damaged(folder, monkeypatch, before):
    folder.write("other", b"")
    if before is not None:
        write_file(folder, STUDY_FILE, before)
    read, waiting = ResultsFolder.read, [NEW, OLD]

    def replaced_first(folder, name):
        if waiting:
            write_file(folder, STUDY_FILE, waiting.pop(0))
        return read(folder, name)

    monkeypatch.setattr(ResultsFolder, "read", replaced_first)
    assert read_file(folder, STUDY_FILE) == OLD
    assert not waiting


@pytest.mark.parametrize(
    "digest",
    [
        b"",
        b"\n",
        hashlib.sha256(OLD).hexdigest().encode(),
        f"{hashlib.sha256(OLD).hexdigest()}  {STUDY_FILE}".encode(),
        f"{hashlib.sha256(OLD).hexdigest().upper()}  {STUDY_FILE}\n".encode(),
        f"{hashlib.sha256(OLD).hexdigest()}  {TRIALS_FILE}\n".encode(),
        f"{hashlib.sha256(NEW).hexdigest()}  {STUDY_FILE}\n".encode(),
        f"{hashlib.sha256(OLD).hexdigest()}  {STUDY_FILE}\n\0".encode(),
        b"\xff" * 80,
    ],
)
def test_a_digest_that_does_not_match_is_refused(folder, digest):
    write_file(folder, STUDY_FILE, OLD)
    folder.write(DIGEST, digest)
    with pytest.raises(AnalysisError, match=r"must have the digest in study\.toml\.sha256.*; rest"):
        read_file(folder, STUDY_FILE)


def test_damaged_bytes_never_reach_the_parser(folder, monkeypatch):
    write_table(folder, TRIALS_FILE, pa.table({"a": [1]}))
    folder.write(TRIALS_FILE, folder.read(TRIALS_FILE)[:-1] + b"2")
    monkeypatch.setattr(files, "read_parquet", lambda _: pytest.fail("parsed"))
    with pytest.raises(AnalysisError, match=r"trials\.parquet.* must have the digest.*; run `an"):
        read_table_file(folder, TRIALS_FILE)


def test_numbers_that_hardly_repeat_are_written_without_a_dictionary(tmp_path):
    table = pa.table({"trial": [1, 1], "role": ["search", "search"], "val_error": [0.5, 0.25]})
    folder = ResultsFolder.at(tmp_path)
    write_table(folder, TRIALS_FILE, table)
    group = pq.read_metadata(tmp_path / TRIALS_FILE).row_group(0)
    coded = ["RLE_DICTIONARY" in group.column(n).encodings for n in range(3)]
    assert coded == [True, True, False]
    assert pq.read_table(tmp_path / TRIALS_FILE).equals(table)


def test_nothing_else_reads_a_results_folder():
    root = Path(files.__file__).parents[2]
    raw = re.compile(r"folder\.(read|find)\(|read_parquet\(|ParquetFile\(")
    found = {
        str(path.relative_to(root))
        for package in ("analysis", "batchscale", "study")
        for path in (root / package).rglob("*.py")
        if raw.search(path.read_text())
    }
    assert found == {
        "analysis/tables/files.py",
        "analysis/tables/validation.py",  # defines how bytes are parsed
        "analysis/runs/readers/table_files.py",  # a user's own table, which is no results folder
        "analysis/comparison/report.py",  # whose comparison it is; no number
        "study/engine/checkpoints.py",  # have a digest in their first line
        "study/replay/verification.py",  # whether there is a study at all
    }


def test_the_command_in_the_message_accepts_a_file_without_a_digest(tmp_path):
    folder = ResultsFolder.at(tmp_path)
    for name in ("parts/b00004-c000.parquet", STUDY_FILE):
        folder.write(name, OLD)
        with pytest.raises(AnalysisError, match="must have a digest file, got no") as error:
            read_file(folder, name)
        accept = str(error.value).split("`")[-2]
        subprocess.run(accept, shell=True, cwd=Path(tmp_path, name).parent, check=True)
        assert read_file(folder, name) == OLD
