"""The files of a results folder that numbers are read from, each with its digest beside it.

The digest of `trials.parquet` is in `trials.parquet.sha256`, one line as `sha256sum` writes it. The
bytes of a file are checked before anything parses them: given damaged bytes, a parser may read
other numbers or crash. With one digest file per file, many workers can write to a disk or an object
store without a lock, and the last part costs no more than the first.

The digest is written before the file. While a file is being replaced, the digests of its old and
its new content are both listed, so a writer may be killed at any time: the file is whole and has a
known digest.
"""

import contextlib
import hashlib
import json
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.errors import AnalysisError
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import (
    ARCHIVE_FILE,
    BOXES_FILE,
    COST_FILE,
    COST_SUMMARY_FILE,
    CURVES_FILE,
    DIAGNOSTICS_FILE,
    PROVENANCE_FILE,
    SCHEMA_VERSION,
    STUDY_FILE,
    SUMMARY_FILE,
    TRIALS_FILE,
    VERSION_KEY,
)
from analysis.tables.validation import BROKEN_PARQUET, read_parquet

DIGEST_SUFFIX = ".sha256"
_FROM_PARTS = "run `analyze` to rebuild it from the parts; if there are none, restore it"
REMEDIES = {
    STUDY_FILE: "restore it from a copy, or start again in another folder",
    PROVENANCE_FILE: "restore it from a copy, or delete it",
    TRIALS_FILE: _FROM_PARTS,
    CURVES_FILE: _FROM_PARTS,
    BOXES_FILE: _FROM_PARTS,
    COST_FILE: "run `cost` to make it again",
    COST_SUMMARY_FILE: "run `cost` to make it again",
    DIAGNOSTICS_FILE: "delete it, and run `diagnose` to make it again",
    SUMMARY_FILE: "run `analyze` to make it again",
    ARCHIVE_FILE: "restore it from a copy, or import again",
}
"""What to do about a damaged file, by its name; all other files with a digest are parts."""
_PART_REMEDY = "delete it, and run the same `sweep` to retrain its cohort"
_DIGEST = re.compile(rb"([0-9a-f]{64}) [ *](.+)")
"""A line of a digest file: the digest and the name of the file."""
_PLAIN = {"compression": "none", "use_dictionary": False, "write_statistics": False}
_ATTEMPTS = 5
"""How often a file is read, as it may be being replaced, before it counts as damaged."""


def write_file(folder: ResultsFolder, name: str, content: "bytes | memoryview | pa.Buffer") -> None:
    """Write a file and its digest: a reader on any machine sees the old content or the new."""
    digest = hashlib.sha256(content).hexdigest()
    known = _recorded(folder, name) or []
    if known != [digest]:
        _record(folder, name, [*(old for old in known if old != digest), digest])
    folder.write(name, content)
    if known not in ([], [digest]):
        _record(folder, name, [digest])


def read_file(folder: ResultsFolder, name: str) -> bytes:
    """Return the content of a file after checking its digest.

    Raises:
        AnalysisError: the file is missing, has no digest, or does not match it.
    """
    earlier: list[str] | None = None
    for attempt in range(_ATTEMPTS):
        known = _recorded(folder, name)
        content = folder.read(name)
        if known and hashlib.sha256(content).hexdigest() in known:
            return content
        if attempt and known == earlier:  # nobody is replacing it
            break
        earlier = known
    path, base = folder / name, name.rpartition("/")[2]
    if known is None:
        raise AnalysisError(
            f"{path} must have a digest file, got no {base}{DIGEST_SUFFIX}; {remedy(name)}; or, to "
            f"trust the file as it is, run `sha256sum {base} > {base}{DIGEST_SUFFIX}` there"
        )
    raise AnalysisError(
        f"{path} must have the digest in {base}{DIGEST_SUFFIX}, got other bytes: one of the two "
        f"has changed since batchscale wrote it; {remedy(name)}"
    )


def remedy(name: str) -> str:
    """Return what to do about a damaged file, as the last clause of a message."""
    return REMEDIES.get(name, _PART_REMEDY)


@contextlib.contextmanager
def as_written(folder: ResultsFolder, name: str) -> Iterator[None]:
    """Refuse a file whose content makes the body raise; its digest may be by another program."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise AnalysisError(
            f"{folder / name} must be as batchscale wrote it, got: {error}; {remedy(name)}"
        ) from error


def json_bytes(record: Mapping[str, Any]) -> bytes:
    """Return a record of finite numbers as the content of a JSON file."""
    return f"{json.dumps(record, indent=2, allow_nan=False)}\n".encode()


def write_table(folder: ResultsFolder, name: str, table: pa.Table) -> None:
    """Write a table as a parquet file with its digest."""
    write_file(folder, name, as_parquet(table))


def as_parquet(table: pa.Table, *, plain: bool = False) -> pa.Buffer:
    """Return the content of a parquet file; a plain one is faster to read but a little larger."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **(_PLAIN if plain else coding(table.schema)))
    return sink.getvalue()


def coding(schema: pa.Schema) -> Mapping[str, Any]:
    """Return the options with which pyarrow writes a compact parquet file."""
    # measured numbers hardly repeat: a dictionary of them costs much time and some space
    repeated = [field.name for field in schema if not pa.types.is_floating(field.type)]
    return {"compression": "zstd", "use_dictionary": repeated}


def read_table_file(
    folder: ResultsFolder, name: str, columns: Collection[str] | None = None
) -> pa.Table:
    """Return a table, or some of its columns, from a parquet file; values are not yet checked.

    Raises:
        AnalysisError: the file is missing, damaged, not parquet, or of another schema version.
    """
    content = read_file(folder, name)
    try:
        table = read_parquet(content, columns)
    except BROKEN_PARQUET as error:
        raise AnalysisError(
            f"{folder / name} must be a parquet table, got: {error}; {remedy(name)}"
        ) from error
    version = (table.schema.metadata or {}).get(VERSION_KEY, b"none").decode(errors="replace")
    if version != str(SCHEMA_VERSION):
        raise AnalysisError(
            f"{folder / name} must have schema version {SCHEMA_VERSION}, got {version}; "
            "read it with the release that wrote it"
        )
    return table


def read_study_file(folder: ResultsFolder) -> dict[str, Any]:
    """Return the study file of a results folder as plain data, not yet checked."""
    content = read_file(folder, STUDY_FILE)
    with as_written(folder, STUDY_FILE):
        return tomllib.loads(content.decode("utf-8"))


def _record(folder: ResultsFolder, name: str, digests: list[str]) -> None:
    base = name.rpartition("/")[2]
    lines = "".join(f"{digest}  {base}\n" for digest in digests)
    folder.write(f"{name}{DIGEST_SUFFIX}", lines.encode())


def _recorded(folder: ResultsFolder, name: str) -> list[str] | None:
    """Return the recorded digests of a file; None without any, empty where they are damaged."""
    content = folder.find(f"{name}{DIGEST_SUFFIX}")
    if content is None:
        return None
    base = name.rpartition("/")[2].encode()
    *lines, end = content.split(b"\n")
    found = [_DIGEST.fullmatch(line) for line in lines]
    if end or not all(line and line[2] == base for line in found):
        return []
    return [line[1].decode() for line in found if line]
