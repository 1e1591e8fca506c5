"""Parts: one parquet file per cohort, written in one atomic step, one row per trial with its curve.

A part's metadata holds the digest of its study, the machine that trained it, and the region of the
box that its points were drawn from.
"""

import contextlib
import math
import re
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from analysis.tables.files import read_table_file, remedy, write_table
from analysis.tables.folder import ResultsFolder
from study.config.study import ResolvedStudy
from study.errors import StudyError, cause
from study.records import (
    Region,
    Role,
    Status,
    TrialResult,
    record_from_json,
    record_to_json,
)
from study.storage.curve_columns import curve_kinds, curve_lists, read_curves
from study.storage.trial_rows import from_row, trial_table

PARTS = "parts"
KEPT_MEASUREMENTS = 2**20
"""Measurements that a reader of parts keeps in memory, about 100 MB; beyond it reads again."""
_DIGEST_KEY = b"batchscale.study"
_NODE_KEY = b"batchscale.node"
_REGION_KEY = b"batchscale.region"
_LETTERS = {Role.SEARCH: "c", Role.EXTENSION: "x", Role.REPLICATE: "r", Role.RECIPE: "s"}
"""Warm-start points have no letter: they join a cohort of the search."""
_PART = re.compile(
    rf"{PARTS}/b(?P<size>\d+)-(?P<letter>[{''.join(_LETTERS.values())}])(?P<cohort>\d+)\.parquet"
)
_ROLES = list(Role)


class CorruptPartError(ValueError):
    """A part holds what no worker writes; the message says what."""


def part_name(batch_size: int, cohort: int, role: Role = Role.SEARCH) -> str:
    """Return the path of a cohort's part within the results folder; `role` is its first trial's."""
    return f"{PARTS}/{cohort_stem(batch_size, cohort, role)}.parquet"


def cohort_stem(batch_size: int, cohort: int, role: Role) -> str:
    """Return the base name of a cohort's files, without suffix; `role` is its first trial's."""
    return f"b{batch_size:05d}-{_LETTERS[role]}{cohort:03d}"


def is_part(name: str) -> bool:
    """Return whether a path within a results folder is that of a part."""
    return _PART.fullmatch(name) is not None


def part_names(folder: ResultsFolder) -> list[str]:
    """Return the paths of all parts, sorted by batch size, role and cohort."""
    return [name for names in parts_by_size(folder).values() for name in names]


def parts_by_size(folder: ResultsFolder) -> dict[int, list[str]]:
    """Return the paths of the parts of each batch size, ascending, sorted by role and cohort."""
    found = [(match, name) for name in folder.names(PARTS) if (match := _PART.fullmatch(name))]
    letters = list(_LETTERS.values())
    keys = sorted(
        ((int(m["size"]), letters.index(m["letter"]), int(m["cohort"])), name) for m, name in found
    )
    sizes: dict[int, list[str]] = {}
    for (size, _, _), name in keys:
        sizes.setdefault(size, []).append(name)
    return sizes


class Parts:
    """The parts of a study, each read from the folder once.

    A sweep, its progress display, its journal and its tables all need the same trials; they share
    one reader. It keeps at most `KEPT_MEASUREMENTS` measurements, so that a very large study costs
    no more memory than a small one: parts read long ago are dropped and read again when needed.
    """

    def __init__(self, folder: ResultsFolder, resolved: ResolvedStudy) -> None:
        """Start with nothing read.

        Args:
            folder: where the parts are.
            resolved: the study that they must belong to.
        """
        self.folder, self.resolved = folder, resolved
        self._kept: OrderedDict[str, list[TrialResult]] = OrderedDict()
        self._measurements = 0

    def read(self, name: str) -> list[TrialResult]:
        """Return the trials of one part, from memory where it has been read.

        Raises:
            BatchscaleError: the part is damaged, or belongs to another study or schema version.
        """  # noqa: DOC502  (raised by read_part)
        results = self._kept.pop(name, None)
        if results is None:
            results = read_part(self.folder, name, self.resolved)
            self._measurements += _measurements(results)
        self._kept[name] = results
        while self._measurements > KEPT_MEASUREMENTS and len(self._kept) > 1:
            self._measurements -= _measurements(self._kept.popitem(last=False)[1])
        return results

    def read_cohort(self, batch_size: int, cohort: int, role: Role) -> list[TrialResult] | None:
        """Return the trials of a cohort; None where it has left no part."""
        name = part_name(batch_size, cohort, role)
        return self.read(name) if name in self._kept or self.folder.exists(name) else None

    def at(self, batch_size: int) -> list[TrialResult]:
        """Return the trials of one batch size, sorted by role and number, each trial once."""
        return self._merged(parts_by_size(self.folder).get(batch_size, []))

    def by_size(self) -> Iterator[tuple[int, list[TrialResult]]]:
        """Yield each batch size, ascending, with its trials as `at` returns them."""
        for batch_size, names in parts_by_size(self.folder).items():
            yield batch_size, self._merged(names)

    def __iter__(self) -> Iterator[TrialResult]:
        """Yield every trial, sorted by batch size, role and number."""
        for _, results in self.by_size():
            yield from results

    def _merged(self, names: Sequence[str]) -> list[TrialResult]:
        trials: dict[tuple[int, int], TrialResult] = {}
        for name in names:
            for result in self.read(name):
                key = _ROLES.index(result.point.role), result.point.trial
                trials.setdefault(key, result)
        return [trials[key] for key in sorted(trials)]


def _measurements(results: Sequence[TrialResult]) -> int:
    return sum(result.curve.step.size for result in results)


def write_part(
    folder: ResultsFolder, resolved: ResolvedStudy, results: Sequence[TrialResult], node: str = ""
) -> str:
    """Write a cohort's results in one atomic step.

    Args:
        folder: where the study's results are.
        resolved: the study that the cohort belongs to; its digest goes into the part.
        results: all trials of the cohort.
        node: name of the machine that trained them, for the part's metadata.

    Returns:
        The path of the part within the folder.
    """
    table, first = trial_table(resolved, results), results[0]
    metadata = {
        **table.schema.metadata,
        _DIGEST_KEY: resolved.digest().encode(),
        _NODE_KEY: node.encode(),
    }
    if first.region is not None:
        metadata[_REGION_KEY] = record_to_json(first.region).encode()
    further = resolved.further
    columns = curve_lists([result.curve for result in results], further)
    for (column, kind), values in zip(curve_kinds(further).items(), columns, strict=True):
        table = table.append_column(pa.field(column, kind), values)
    name = part_name(first.batch_size, first.cohort, first.point.role)
    write_table(folder, name, table.replace_schema_metadata(metadata))
    return name


def read_part(folder: ResultsFolder, name: str, resolved: ResolvedStudy) -> list[TrialResult]:
    """Return the trials of one part.

    Raises:
        StudyError: the part belongs to another study or cohort, or holds values that no worker
            writes.
        AnalysisError: its bytes are not those that were written.
    """  # noqa: DOC502  (raised inside)
    table = part_table(folder, name, resolved.digest())
    with refused_if_corrupt(folder, name):
        results = _results(table, resolved, region_of(table, resolved))
        check_place(name, results[0].point.role, ((r.batch_size, r.cohort) for r in results))
        return results


def part_table(
    folder: ResultsFolder, name: str, digest: str, columns: Collection[str] | None = None
) -> pa.Table:
    """Return the table of a part, its values not yet checked.

    Args:
        folder: where the study's results are.
        name: path of the part within the folder.
        digest: that of the study that the part must belong to.
        columns: those to read; None for all.

    Raises:
        StudyError: the part belongs to another study.
        AnalysisError: its bytes are not those that were written.
    """  # noqa: DOC502  (raised by read_table_file)
    table = read_table_file(folder, name, columns)
    if (table.schema.metadata or {}).get(_DIGEST_KEY, b"") != digest.encode():
        raise StudyError(
            "a part must belong to the study in its folder, got a part of another study in "
            f"{folder / name}; move it away"
        )
    return table


def region_of(table: pa.Table, resolved: ResolvedStudy) -> Region | None:
    """Return the region that the trials of a part were drawn from; a faulty one is a ValueError."""
    text = table.schema.metadata.get(_REGION_KEY)
    if text is None:
        return None
    region = record_from_json(Region, text)
    if not set(region.box) <= set(resolved.hyperparameters):
        raise CorruptPartError(f"a region of {', '.join(map(str, region.box))}")
    return region


_CORRUPT = (KeyError, TypeError, ValueError, RecursionError, OverflowError, NotImplementedError)
"""What reading such values raises; pyarrow the last one, for a type that cannot be another."""


@contextlib.contextmanager
def refused_if_corrupt(folder: ResultsFolder, name: str) -> Iterator[None]:
    """Turn what reading a part raises, if no worker wrote its values, into a StudyError."""
    try:
        yield
    except _CORRUPT as error:
        got = str(error) if isinstance(error, CorruptPartError) else cause(error)
        raise StudyError(
            f"a part must be as a worker wrote it, got {got} in {folder / name}; {remedy(name)}"
        ) from error


def _results(table: pa.Table, resolved: ResolvedStudy, region: Region | None) -> list[TrialResult]:
    rows = table.drop_columns(list(curve_kinds(resolved.further))).to_pylist()
    if not rows:
        raise CorruptPartError("no trial")
    results = [
        replace(from_row(row, resolved.hyperparameters), curve=curve, region=region)
        for row, curve in zip(rows, read_curves(table, resolved.further), strict=True)
    ]
    for result in results:
        _check(result, resolved)
    return results


def check_place(name: str, role: Role, cohorts: Iterable[tuple[int, int]]) -> None:
    """Refuse a part that is in the place of another one.

    Args:
        name: path of the part.
        role: that of its first trial.
        cohorts: batch size and cohort of its trials.

    Raises:
        CorruptPartError: a trial belongs into another part.
    """
    for size, cohort in cohorts:
        own = part_name(size, cohort, role)
        if own != name:
            raise CorruptPartError(f"a trial of {own}")


def _check(result: TrialResult, resolved: ResolvedStudy) -> None:
    """Refuse values that the types allow and no worker writes: a part may come from anybody."""
    curve, outcome = result.curve, result.outcome
    if result.batch_size not in resolved.batch_sizes or not 0 <= result.point.trial <= 2**53:
        raise CorruptPartError(f"trial {result.point.trial} at batch size {result.batch_size}")
    if not all(math.isfinite(value) for value in result.point.values.values()):
        raise CorruptPartError(f"hyperparameters {dict(result.point.values)}")
    if curve.step.size and (curve.step[0] < 0 or (np.diff(curve.step) <= 0).any()):
        raise CorruptPartError("a curve whose steps do not rise from 0")
    if not np.isfinite(curve.val_error).all():
        raise CorruptPartError("a curve with errors that are not finite")
    if min(outcome.stopped_at, outcome.steps or 0, outcome.steps_before or 0) < 0:
        raise CorruptPartError("steps below 0")
    if (outcome.steps is not None) is not (outcome.status is Status.REACHED):
        raise CorruptPartError(f"status {outcome.status} with steps {outcome.steps}")
