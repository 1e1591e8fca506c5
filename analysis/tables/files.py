"""The files of a results folder from which numbers are read, each with its digest beside it.

The digest of `trials.parquet` is in `trials.parquet.sha256`, one line as `sha256sum` writes it. It
is of the bytes, and they are checked before anything parses them: a parser that is given damaged
bytes may read other numbers, or end the process. A file of its own for each needs no lock where
many workers write on a disk or in an object store, and costs the same for the last part as for the
first.

The digest is written before the file. Where a file is replaced, the digests of the old and the new
content are both there until the new one is in place, so whenever a writer is killed, what is there
is whole and known.
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
"""What to do about a damaged file, by its name; all others with a digest are parts."""
_PART_REMEDY = "delete it, and run the same `sweep` to retrain its cohort"
_DIGEST = re.compile(rb"([0-9a-f]{64}) [ *](.+)")
"""A line of a file of digests: the digest, and the name of what has it."""
_PLAIN = {"compression": "none", "use_dictionary": False, "write_statistics": False}
_ATTEMPTS = 5
"""How often a file that is being replaced is read before it is called damaged."""


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
    """Return the content of a file, if it has the digest that was written with it.

    Raises:
        AnalysisError: the file is missing, has no digest, or has another one.
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
    """Return what to do about a damaged file, a clause for the end of a message."""
    return REMEDIES.get(name, _PART_REMEDY)


@contextlib.contextmanager
def as_written(folder: ResultsFolder, name: str) -> Iterator[None]:
    """Refuse a file where its content raises what none does that batchscale wrote.

    A digest tells that nothing has changed since it was made, and not who made it.

    Yields:
        Nothing.

    Raises:
        AnalysisError: the body, which reads the content, raised for its sake.
    """
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise AnalysisError(
            f"{folder / name} must be as batchscale wrote it, got: {error}; {remedy(name)}"
        ) from error


def json_bytes(record: Mapping[str, Any]) -> bytes:
    """Return the content of a JSON file, with null for what is unknown or without bound."""
    return f"{json.dumps(record, indent=2, allow_nan=False)}\n".encode()


def write_table(folder: ResultsFolder, name: str, table: pa.Table) -> None:
    """Write a table as a parquet file with its digest."""
    write_file(folder, name, as_parquet(table))


def as_parquet(table: pa.Table, *, plain: bool = False) -> pa.Buffer:
    """Return the content of a parquet file; a plain one is read faster and a little larger."""
    sink = pa.BufferOutputStream()
    options = _PLAIN if plain else coding(table.schema)
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def coding(schema: pa.Schema) -> Mapping[str, Any]:
    """Return how pyarrow is to write the columns of a table that is small for its content."""
    # of measured numbers hardly two are equal: a dictionary costs much time, and some space
    repeated = [field.name for field in schema if not pa.types.is_floating(field.type)]
    return {"compression": "zstd", "use_dictionary": repeated}


def read_table_file(
    folder: ResultsFolder, name: str, columns: Collection[str] | None = None
) -> pa.Table:
    """Return the table in a parquet file, or some of its columns; values are not yet checked.

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
    """Return the study file of a results folder as plain data, not yet checked.

    Raises:
        AnalysisError: it is missing, damaged, or not TOML.
    """  # noqa: DOC502  (raised inside)
    content = read_file(folder, STUDY_FILE)
    with as_written(folder, STUDY_FILE):
        return tomllib.loads(content.decode("utf-8"))


def _record(folder: ResultsFolder, name: str, digests: list[str]) -> None:
    base = name.rpartition("/")[2]
    lines = "".join(f"{digest}  {base}\n" for digest in digests)
    folder.write(f"{name}{DIGEST_SUFFIX}", lines.encode())


def _recorded(folder: ResultsFolder, name: str) -> list[str] | None:
    """Return the digests that a file may have; None without any, empty where they are damaged."""
    content = folder.find(f"{name}{DIGEST_SUFFIX}")
    if content is None:
        return None
    base = name.rpartition("/")[2].encode()
    *lines, end = content.split(b"\n")
    found = [_DIGEST.fullmatch(line) for line in lines]
    if end or not all(line and line[2] == base for line in found):
        return []
    return [line[1].decode() for line in found if line]
