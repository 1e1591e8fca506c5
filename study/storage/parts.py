"""Parts: one parquet file per cohort, written in one atomic step, one row per trial with its curve.

A part's metadata contains the digest of its study, the machine that trained it, and the region that
its points were drawn from.
"""

import re
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from analysis.tables.files import as_parquet, read_table_file, write_file
from analysis.tables.folder import ResultsFolder
from study.config.study import ResolvedStudy
from study.errors import StudyError
from study.records import Region, Role, TrialResult, record_from_json, record_to_json
from study.storage.curve_columns import CURVE_STEP, curve_kinds, curve_lists, read_curves
from study.storage.part_values import CORRUPT, CorruptPartError, checked, refused_if_corrupt
from study.storage.trial_rows import from_row, trial_table

PARTS = "parts"
KEPT_MEASUREMENTS = 2**20
"""Measurements that a reader of parts keeps in memory, about 100 MB; others are read again."""
_DIGEST_KEY = b"batchscale.study"
_NODE_KEY = b"batchscale.node"
_REGION_KEY = b"batchscale.region"
_LETTERS = {Role.SEARCH: "c", Role.EXTENSION: "x", Role.REPLICATE: "r", Role.RECIPE: "s"}
"""Warm-start points have no letter: they join a cohort of the search."""
_PART = re.compile(
    rf"{PARTS}/b(?P<size>\d+)-(?P<letter>[{''.join(_LETTERS.values())}])(?P<cohort>\d+)\.parquet"
)


def part_name(batch_size: int, cohort: int, role: Role = Role.SEARCH) -> str:
    """Return the path of a cohort's part in the results folder; `role` is its first trial's."""
    return f"{PARTS}/{cohort_stem(batch_size, cohort, role)}.parquet"


def cohort_stem(batch_size: int, cohort: int, role: Role) -> str:
    """Return the base name of a cohort's files, without suffix; `role` is its first trial's."""
    return f"b{batch_size:05d}-{_LETTERS[role]}{cohort:03d}"


def is_part(name: str) -> bool:
    """Return whether a path in a results folder is the path of a part."""
    return _PART.fullmatch(name) is not None


def part_names(folder: ResultsFolder) -> list[str]:
    """Return the paths of all parts, sorted by batch size, role and cohort."""
    return [name for names in parts_by_size(folder).values() for name in names]


def parts_by_size(folder: ResultsFolder) -> dict[int, list[str]]:
    """Return the paths of the parts of each batch size, ascending, sorted by role and cohort."""
    letters = list(_LETTERS.values())
    keys = sorted(
        (int(match["size"]), letters.index(match["letter"]), int(match["cohort"]), match[0])
        for match in map(_PART.fullmatch, folder.names(PARTS))
        if match is not None
    )
    sizes: dict[int, list[str]] = {}
    for size, _, _, name in keys:
        sizes.setdefault(size, []).append(name)
    return sizes


@dataclass(frozen=True, slots=True)
class _Part:
    """A part as read, its values not yet checked."""

    table: pa.Table
    region: Region | None
    measurements: int


class Parts:
    """The parts of a study, each read from the folder once.

    A sweep, its progress display, its journal and its tables need the same trials and share one
    reader. It keeps at most `KEPT_MEASUREMENTS` measurements, which bounds the memory of a very
    large study: parts read long ago are dropped, and read again when needed.
    """

    def __init__(self, folder: ResultsFolder, resolved: ResolvedStudy) -> None:
        self.folder, self.resolved = folder, resolved
        self._digest = resolved.digest()
        self._kept: OrderedDict[str, _Part] = OrderedDict()
        self._measurements = 0

    def read(self, name: str) -> list[TrialResult]:
        """Return the trials of one part, from memory if it has been read."""
        return self._results(*self._joined([name]))

    def read_cohort(self, batch_size: int, cohort: int, role: Role) -> list[TrialResult] | None:
        """Return the trials of a cohort; None if it left no part."""
        name = part_name(batch_size, cohort, role)
        return self.read(name) if name in self._kept or self.folder.exists(name) else None

    def at(self, batch_size: int) -> list[TrialResult]:
        """Return the trials of one batch size, sorted by role and number, each trial once."""
        return self._merged(parts_by_size(self.folder).get(batch_size, []))

    def by_size(self) -> Iterator[tuple[int, list[TrialResult]]]:
        """Yield each batch size, ascending, with its trials as `at` returns them."""
        for batch_size, names in parts_by_size(self.folder).items():
            yield batch_size, self._merged(names)

    def tables(self) -> Iterator[tuple[int, pa.Table, list[Region]]]:
        """Yield each batch size, ascending, with its trials as `at` sorts them, and its regions.

        The columns are those of parts: a curve is one list of values.
        """
        for batch_size, names in parts_by_size(self.folder).items():
            table, parts = self._joined(names)
            rows = _order(table)
            if not np.array_equal(rows, np.arange(table.num_rows)):  # spares most tables a copy
                table = table.take(pa.array(rows))
            yield batch_size, table, [region for _, region in parts if region is not None]

    def __iter__(self) -> Iterator[TrialResult]:
        """Yield every trial, sorted by batch size, role and number."""
        for _, results in self.by_size():
            yield from results

    def _merged(self, names: Sequence[str]) -> list[TrialResult]:
        if not names:
            return []
        table, parts = self._joined(names)
        results = self._results(table, parts)
        return [results[row] for row in _order(table)]

    def _results(
        self, table: pa.Table, parts: Sequence[tuple[int, Region | None]]
    ) -> list[TrialResult]:
        """Return the trials of parts, given what `_joined` returns."""
        regions = chain.from_iterable([region] * count for count, region in parts)
        further, names = self.resolved.further, self.resolved.hyperparameters
        trials = table.drop_columns(list(curve_kinds(further)))
        columns = {name: trials[name].to_pylist() for name in trials.column_names}
        rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
        return [
            from_row(row, names, curve, region)
            for row, curve, region in zip(rows, read_curves(table, further), regions, strict=True)
        ]

    def _joined(self, names: Sequence[str]) -> tuple[pa.Table, list[tuple[int, Region | None]]]:
        """Return the checked rows of parts, and each part's number of rows and region."""
        parts = {name: self._part(name) for name in names}
        try:
            table = self._checked(parts)
        except CORRUPT:
            for name, part in parts.items():  # reports which part is at fault
                with refused_if_corrupt(self.folder, name):
                    self._checked({name: part})
            raise
        return table, [(part.table.num_rows, part.region) for part in parts.values()]

    def _checked(self, parts: Mapping[str, _Part]) -> pa.Table:
        """Return the rows of parts, checked together, which is far cheaper than one by one."""
        tables = [part.table for part in parts.values()]
        table = checked(tables, self.resolved)
        check_places(parts, [part.num_rows for part in tables], table)
        return table

    def _part(self, name: str) -> _Part:
        """Return a part from memory, or read it."""
        part = self._kept.pop(name, None)
        if part is None:
            table = part_table(self.folder, name, self._digest)
            with refused_if_corrupt(self.folder, name):
                counts = pc.list_value_length(table[CURVE_STEP])
                region = region_of(table, self.resolved)
                part = _Part(table, region, pc.sum(counts).as_py() or 0)
            self._measurements += part.measurements
        self._kept[name] = part
        while self._measurements > KEPT_MEASUREMENTS and len(self._kept) > 1:
            self._measurements -= self._kept.popitem(last=False)[1].measurements
        return part


def _order(table: pa.Table) -> NDArray[np.int64]:
    """Return the indices that sort trials by role and number, each trial once."""
    rank = pc.index_in(table["role"], pa.array([role.value for role in Role])).to_numpy()
    trial = table["trial"].to_numpy()
    order = np.lexsort((trial, rank))
    again = (np.diff(rank[order]) == 0) & (np.diff(trial[order]) == 0)
    return np.delete(order, np.flatnonzero(again) + 1)


def write_part(
    folder: ResultsFolder, resolved: ResolvedStudy, results: Sequence[TrialResult], node: str = ""
) -> str:
    """Return the path of a cohort's part in the folder, after writing it in one atomic step.

    `node` names the machine that trained the cohort, for the part's metadata.
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
    # parts are small and many: compression would double the time to read them and save a tenth
    content = as_parquet(table.replace_schema_metadata(metadata), plain=True)
    write_file(folder, name, content)
    return name


def read_part(folder: ResultsFolder, name: str, resolved: ResolvedStudy) -> list[TrialResult]:
    """Return the trials of one part, as `Parts.read` does."""
    return Parts(folder, resolved).read(name)


def part_table(
    folder: ResultsFolder, name: str, digest: str, columns: Collection[str] | None = None
) -> pa.Table:
    """Return the table of a part, or some of its columns, its values not yet checked.

    Raises:
        StudyError: the part does not belong to the study of this digest.
    """
    table = read_table_file(folder, name, columns)
    if (table.schema.metadata or {}).get(_DIGEST_KEY, b"") != digest.encode():
        raise StudyError(
            "a part must belong to the study in its folder, got a part of another study in "
            f"{folder / name}; move it away"
        )
    return table


def region_of(table: pa.Table, resolved: ResolvedStudy) -> Region | None:
    """Return the region that a part's trials were drawn from; raise ValueError if it is faulty."""
    text = table.schema.metadata.get(_REGION_KEY)
    if text is None:
        return None
    region = record_from_json(Region, text)
    if not set(region.box) <= set(resolved.hyperparameters):
        raise CorruptPartError(f"a region of {', '.join(map(str, region.box))}")
    return region


def check_places(names: Iterable[str], counts: Sequence[int], table: pa.Table) -> None:
    """Refuse a part that contains trials of another one.

    Args:
        names: paths of parts.
        counts: number of trials of each, >= 1.
        table: batch size, cohort and role of all these trials, in order.

    Raises:
        CorruptPartError: a trial belongs in another part.
    """
    sizes, cohorts = (table[column].to_pylist() for column in ("batch_size", "cohort"))
    roles, start = table["role"].to_pylist(), 0
    for name, count in zip(names, counts, strict=True):
        role, end = Role(roles[start]), start + count
        for size, cohort in set(zip(sizes[start:end], cohorts[start:end], strict=True)):
            own = part_name(size, cohort, role)
            if own != name:
                raise CorruptPartError(f"a trial of {own}")
        start = end
