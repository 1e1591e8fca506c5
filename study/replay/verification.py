"""Verification of a results folder: everything derived is derived again and compared."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import starmap
from typing import Any

import pandas as pd

from analysis.report.record import summary_record
from analysis.report.summary import analyze
from analysis.tables.files import DIGEST_SUFFIX, REMEDIES, read_file, read_study_file
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import CURVES_FILE, STUDY_FILE, SUMMARY_FILE, TRIAL_KEY, TRIALS_FILE
from analysis.tables.study import as_frame, read_study, read_table
from batchscale.errors import BatchscaleError
from study.config.study import ResolvedStudy
from study.engine.outcomes import final_results
from study.records import Role, TrialResult
from study.replay.recorded import trials_of_tables
from study.search.queue import CohortQueue
from study.storage.consolidate import tables_of
from study.storage.parts import PARTS, is_part, part_names, read_part
from study.storage.study_folder import read_study_toml
from workloads.testing import Clause

_UNCOMPARED = ("schema_version", "study", "sentences", "definitions")
"""Keys of `summary.json` that may differ between releases or folders although no number does."""
_RELATIVE = 1e-6
"""Fits are iterative, so their last digits may change with the release of scipy."""


class _BrokenError(Exception):
    """A check failed; the message says how."""


_BROKEN = (_BrokenError, BatchscaleError)


def check_folder(folder: ResultsFolder) -> Iterator[Clause]:
    """Yield the result of each check that the files of a folder agree with each other.

    Nothing is written. The checks end early if later ones would have nothing to read.
    """
    folder.read(STUDY_FILE)  # a folder without one is wrong input, not a failed check
    yield (first := _clause("study.toml", lambda: _study_file(folder)))
    if not first.passed:
        return
    yield _clause("digests", lambda: _digests(folder))
    if "imported" in read_study_file(folder):
        yield _clause("tables", lambda: _imported(folder))
        yield _clause("summary", lambda: _summary(folder))
        return
    resolved = read_study_toml(folder)
    names = part_names(folder)
    if names:
        try:
            results = _parts(folder, names, resolved)
        except _BROKEN as broken:
            yield Clause("parts", False, str(broken))
            return
        yield Clause("parts", True, f"{len(names)} parts of this study, all as they were written")
        yield _clause("trials", lambda: _trials(resolved, results))
        yield _clause("tables", lambda: _tables(folder, resolved, results))
    else:
        yield Clause("parts", None, "none, so the tables are checked on their own")
        yield (readable := _clause("tables", lambda: _tables_alone(folder, resolved)))
        if readable.passed and not resolved.search.extend:
            # tables alone do not say which trials of a widened box are missing
            results = trials_of_tables(folder, resolved)
            yield _clause("trials", lambda: _trials(resolved, results))
    yield _clause("summary", lambda: _summary(folder))


def _clause(name: str, check: Callable[[], str | None]) -> Clause:
    """Run a check, which returns its result in words, or None if there is nothing to check."""
    try:
        detail = check()
    except _BROKEN as broken:
        return Clause(name, False, str(broken))
    return Clause(name, None if detail is None else True, detail or "not recorded")


def _digests(folder: ResultsFolder) -> str:
    """Check the bytes of every file but the parts, even of those that no later check reads."""
    names = [name for name in REMEDIES if folder.exists(name)]
    for name in names:
        read_file(folder, name)
    return f"{', '.join(names)} are as they were written"


def _study_file(folder: ResultsFolder) -> str:
    if "imported" in read_study_file(folder):
        return "imported, so there are no parts"
    resolved = read_study_toml(folder)
    return f"{resolved.workload}, {resolved.optimizer}, {len(resolved.batch_sizes)} batch sizes"


def _parts(
    folder: ResultsFolder, names: Sequence[str], resolved: ResolvedStudy
) -> list[TrialResult]:
    """Return the trials of all parts."""
    others = [
        name
        for name in folder.names(PARTS)
        if not is_part(name.removesuffix(DIGEST_SUFFIX)) and "/." not in name
    ]
    if others:
        raise _BrokenError(f"{PARTS}/ must contain parts only, got {others[0]}; move it away")
    return [result for name in names for result in read_part(folder, name, resolved)]


def _trials(resolved: ResolvedStudy, results: Sequence[TrialResult]) -> str:
    keys = Counter((r.batch_size, str(r.point.role), r.point.trial) for r in results)
    twice = [_named(key) for key, count in keys.items() if count > 1]
    if twice:
        raise _BrokenError(
            f"each trial must be recorded once, got {_first_of(twice)} more than once"
        )
    foreign = [
        _named(key)
        for key in keys
        if key[0] not in resolved.batch_sizes
        or (key[1] == Role.SEARCH and key[2] >= resolved.trials_at(key[0]))
    ]
    if foreign:
        raise _BrokenError(f"trials must belong to study.toml, got {_first_of(foreign)}")
    missing = [
        f"{standing.waiting} at batch size {standing.batch_size}"
        for standing in CohortQueue(resolved, results).standings()
        if standing.waiting
    ]
    if missing:
        raise _BrokenError(f"trials are missing, {_first_of(missing)}; run `sweep` again")
    return f"{len(keys)} trials, none missing, none twice"


def _tables(folder: ResultsFolder, resolved: ResolvedStudy, results: Sequence[TrialResult]) -> str:
    order = list(Role).index
    ordered = sorted(results, key=lambda r: (r.batch_size, order(r.point.role), r.point.trial))
    tables = tables_of(resolved, final_results(resolved, ordered))
    for name, table in tables.items():
        if not folder.exists(name):
            raise _BrokenError(f"{name} is missing; run `analyze` to make it")
        _refuse_difference(name, read_table(folder, name), as_frame(table))
    return f"{', '.join(tables)} agree with the parts"


def _tables_alone(folder: ResultsFolder, resolved: ResolvedStudy) -> str:
    results = final_results(resolved, trials_of_tables(folder, resolved))
    tables = tables_of(resolved, results)
    for name in (TRIALS_FILE, CURVES_FILE):
        _refuse_difference(name, read_table(folder, name), as_frame(tables[name]))
    return f"{len(results)} trials, each with the outcome that its curve gives"


def _refuse_difference(name: str, recorded: pd.DataFrame, derived: pd.DataFrame) -> None:
    if list(recorded) != list(derived):
        raise _BrokenError(f"{name} must have the columns {list(derived)}, got {list(recorded)}")
    if len(recorded) != len(derived):
        raise _BrokenError(
            f"{name} must have {len(derived)} rows, got {len(recorded)}; run `analyze` again"
        )
    for column in derived:
        old, new = recorded[column], derived[column]
        different = ~((old == new).fillna(False).astype(bool) | (old.isna() & new.isna()))
        if different.any():
            row = int(different.to_numpy().argmax())
            key = [derived[k].iloc[row] for k in TRIAL_KEY if k in derived]
            which = _named(key) if len(key) == len(TRIAL_KEY) else f"row {row}"
            raise _BrokenError(
                f"{column} in {name} must be {new.iloc[row]}, got {old.iloc[row]} for {which}; "
                "run `analyze` to make the tables again"
            )


def _imported(folder: ResultsFolder) -> str:
    tables = read_study(folder)
    key = list(TRIAL_KEY)
    trials = set(tables.trials[key].itertuples(index=False, name=None))
    if len(trials) != len(tables.trials):
        raise _BrokenError(f"{TRIALS_FILE} must name each trial once")
    unknown = set(tables.curves[key].itertuples(index=False, name=None)) - trials
    if unknown:
        first = _named(min(unknown))
        raise _BrokenError(f"{CURVES_FILE} must belong to trials in {TRIALS_FILE}, got {first}")
    return f"{len(trials)} trials; imported ones cannot be trained again"


def _summary(folder: ResultsFolder) -> str | None:
    if not folder.exists(SUMMARY_FILE):
        return None
    content = read_file(folder, SUMMARY_FILE)
    try:
        recorded = json.loads(content)
        target, first = recorded["target"], recorded.get("first")
    except (ValueError, KeyError, TypeError) as error:
        raise _BrokenError(f"{SUMMARY_FILE} must be as `analyze` wrote it, got: {error}") from error
    tables = read_study(folder)
    own = tables.config["race"].get("target")
    derived = summary_record(analyze(tables, None if target == own else target, first))
    compared = {name: value for name, value in recorded.items() if name not in _UNCOMPARED}
    difference = _first_difference(compared, json.loads(json.dumps(derived)))
    if difference:
        raise _BrokenError(
            f"{SUMMARY_FILE}, by this release: {difference}; run `analyze` to write it again"
        )
    return f"{SUMMARY_FILE} agrees with the tables"


def _first_difference(recorded: Any, derived: Any, at: str = "") -> str:
    """Return where two values first differ, or ""; keys that only one release has are skipped."""
    if isinstance(recorded, dict) and isinstance(derived, dict):
        keys = [key for key in recorded if key in derived]
        pairs = [(recorded[key], derived[key], f"{at}.{key}".strip(".")) for key in keys]
    elif isinstance(recorded, list) and isinstance(derived, list) and len(recorded) == len(derived):
        both = zip(recorded, derived, strict=True)
        pairs = [(*pair, f"{at}[{index}]") for index, pair in enumerate(both)]
    else:
        floats = isinstance(recorded, float) and isinstance(derived, int | float)
        same = math.isclose(recorded, derived, rel_tol=_RELATIVE) if floats else recorded == derived
        return "" if same else f"{at} must be {derived!r}, got {recorded!r}"
    return next(filter(None, starmap(_first_difference, pairs)), "")


def _named(key: Sequence[Any]) -> str:
    size, role, trial = key
    return f"{role} trial {trial} at batch size {size}"


def _first_of(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
