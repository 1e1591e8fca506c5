"""How the trials of a study ended, from which its progress is counted.

No curve is read and no trial becomes an object, because a study may have very many.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from analysis.errors import AnalysisError
from analysis.measures.unfinished import COLUMNS
from analysis.tables.files import read_table_file
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import BOX_COLUMNS, BOXES_FILE, STUDY_FILE, TRIAL_COLUMNS, TRIALS_FILE
from analysis.tables.validation import check_table
from study.config.study import ResolvedStudy
from study.engine.stopping_rules import StoppingRules
from study.records import Role
from study.storage.part_values import CorruptPartError, of_schema, refused_if_corrupt
from study.storage.parts import (
    PARTS,
    check_places,
    part_name,
    part_names,
    part_table,
    read_part,
    region_of,
)
from study.storage.trial_rows import Regions, box_rows

_READ = {name: TRIAL_COLUMNS[name] for name in (*COLUMNS, "cohort", "steps_before", "stopped_at")}
_SCHEMA = pa.schema(list(_READ.items()))
_Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ends:
    """How the trials of a study ended."""

    trials: Sequence[_Row]  # the columns of `unfinished.COLUMNS`, each trial once
    boxes: Sequence[_Row]  # rows of `boxes.parquet`


def read_ends(folder: ResultsFolder, resolved: ResolvedStudy) -> Ends:
    """Return how the trials of a study ended, judged by all trials of their batch size.

    The tables are read if they contain all parts, or if there are no parts.
    """  # noqa: DOC501  (an error is raised again)
    names = part_names(folder)
    if folder.exists(TRIALS_FILE) and (not names or folder.up_to_date(TRIALS_FILE, PARTS)):
        try:
            ends = _of_tables(folder, resolved)
        except AnalysisError:
            if not names:
                raise
        else:
            if not names or _parts_of(ends.trials) == set(names):
                return ends
    digest, regions = resolved.digest(), Regions()

    def read(name: str) -> pa.Table:
        table = part_table(folder, name, digest, _READ)
        with refused_if_corrupt(folder, name):
            if (region := region_of(table, resolved)) is not None:
                regions[table["batch_size"][0].as_py(), region.number] = region.box
            return of_schema(table, _SCHEMA)

    with ThreadPoolExecutor() as threads:  # to wait for an object store; a disk needs none
        tables = list(map(read, names) if folder.on_disk else threads.map(read, names))
    try:
        trials = _of_parts(folder, names, tables, resolved)
    except (AnalysisError, CorruptPartError):
        for name in names:  # reports which part is at fault, and why
            read_part(folder, name, resolved)
        raise
    return Ends(_judged(_once(trials), resolved), box_rows(resolved, regions))


def _of_parts(
    folder: ResultsFolder, names: Sequence[str], tables: Sequence[pa.Table], resolved: ResolvedStudy
) -> list[_Row]:
    if not tables:  # without tables pyarrow would import pandas
        return []
    counts = [table.num_rows for table in tables]
    if not all(counts):
        raise CorruptPartError("no trial")
    table = pa.concat_tables(tables)
    trials = _trials(folder, PARTS, table, resolved)
    check_places(names, counts, table)
    return trials


def _of_tables(folder: ResultsFolder, resolved: ResolvedStudy) -> Ends:
    boxes = read_table_file(folder, BOXES_FILE)
    check_table(str(folder / BOXES_FILE), boxes, BOX_COLUMNS)
    trials = read_table_file(folder, TRIALS_FILE, _READ)
    return Ends(_once(_trials(folder, TRIALS_FILE, trials, resolved)), boxes.to_pylist())


def _parts_of(trials: Iterable[_Row]) -> set[str]:
    """Return the paths of the parts of trials; warm-start points joined cohorts of others."""
    cohorts = {(r["batch_size"], r["cohort"], r["role"]) for r in trials if r["role"] != Role.WARM}
    return {part_name(size, n, Role(role)) for size, n, role in cohorts if n is not None}


def _trials(
    folder: ResultsFolder, name: str, table: pa.Table, resolved: ResolvedStudy
) -> list[_Row]:
    check_table(str(folder / name), table, _READ)
    others = set(pc.unique(table["batch_size"]).to_pylist()) - set(resolved.batch_sizes)
    if others:
        raise AnalysisError(
            f"{folder / name} must hold the batch sizes of {STUDY_FILE}, got {min(others)}; "
            "restore it from a copy"
        )
    columns = {name: table[name].to_pylist() for name in _READ}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _once(trials: Iterable[_Row]) -> list[_Row]:
    found: dict[tuple[Any, ...], _Row] = {}
    for row in trials:
        found.setdefault((row["batch_size"], row["role"], row["trial"]), row)
    return list(found.values())


def _judged(trials: Sequence[_Row], resolved: ResolvedStudy) -> list[_Row]:
    """Return trials judged by the final caps of the searches: a late hit is no hit.

    `final_results` does the same with curves. Replicates have caps of their own, and stay as they
    were recorded.
    """
    best: dict[int, int] = {}
    for row in trials:
        if row["steps"] is not None and row["role"] != Role.REPLICATE:
            best[row["batch_size"]] = min(row["steps"], best.get(row["batch_size"], row["steps"]))
    caps = {
        size: StoppingRules.for_search(resolved, size, steps).cap for size, steps in best.items()
    }
    exempt = {Role.REPLICATE, Role.RECIPE}
    return [
        {**row, "status": "capped", "steps": None}
        if row["steps"] is not None
        and row["role"] not in exempt
        and (row["steps_before"] or 0) >= caps[row["batch_size"]]
        else row
        for row in trials
    ]
