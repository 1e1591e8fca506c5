"""Is a results folder whole? What can be made again is, and compared; nothing is written."""

import json
import math
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.errors import AnalysisError
from analysis.report.summary import analyze
from analysis.report.write import SUMMARY_JSON, summary_record
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import BOXES_FILE, CURVES_FILE, STUDY_FILE, TRIAL_KEY, TRIALS_FILE
from analysis.tables.study import as_frame, read_study, read_table
from study.config.study import ResolvedStudy
from study.engine.outcomes import final_results
from study.errors import StudyError
from study.records import Role, TrialResult
from study.replay.recorded import trials_of_tables
from study.search.queue import CohortQueue
from study.storage.consolidate import tables_of
from study.storage.parts import PARTS, hash_holds, part_name, part_names, read_part
from study.storage.study_folder import read_study_toml

_WORDS = ("schema_version", "study", "sentences", "definitions")
"""Keys of `summary.json` that change with no number changing: with the release, or the folder."""
_RELATIVE = 1e-6
"""Fits are found by iteration: their last digits may change with the release of scipy."""


@dataclass(frozen=True, slots=True)
class Clause:
    """What came of one clause.

    Attributes:
        name: what was looked at.
        passed: whether it is right; None where it could not be checked.
        detail: what was seen.
    """

    name: str
    passed: bool | None
    detail: str


class _BrokenError(Exception):
    """A clause is broken; the message says how."""


_BROKEN = (_BrokenError, AnalysisError, StudyError)


def check_folder(folder: ResultsFolder) -> Iterator[Clause]:
    """Checks what a results folder says against itself.

    Args:
        folder: the results folder of one study.

    Yields:
        What came of each clause, in this order; one that others rest on ends the row.
    """
    if "imported" in _toml(folder.read(STUDY_FILE)):
        yield Clause("study.toml", True, "of a study from an archive, which has no parts")
        yield _clause("tables", lambda: _imported(folder))
        yield _clause("summary", lambda: _summary(folder))
        return
    yield (first := _clause("study.toml", lambda: _resolved(folder)))
    if not first.passed:
        return
    resolved = read_study_toml(folder)
    names = part_names(folder)
    if names:
        try:
            results = _parts(folder, names, resolved)
        except _BROKEN as broken:
            yield Clause("parts", False, str(broken))
            return
        yield Clause("parts", True, f"{len(names)} parts of this study, all readable")
        yield _hashes(folder, names)
        yield _clause("trials", lambda: _trials(resolved, results))
        yield _clause("tables", lambda: _tables(folder, resolved, results))
    else:
        yield Clause("parts", None, "none: the tables are the truth")
        yield (readable := _clause("tables", lambda: _judged_tables(folder, resolved)))
        if readable.passed and not resolved.search.extend:
            # the tables do not say which trials a widened box had, so what is missing is not known
            results = trials_of_tables(folder, resolved)
            yield _clause("trials", lambda: _trials(resolved, results))
    yield _clause("summary", lambda: _summary(folder))


def _clause(name: str, check: Callable[[], str | None]) -> Clause:
    """Tries one clause: the check gives what it saw, None where there is nothing to look at."""
    try:
        detail = check()
    except _BROKEN as broken:
        return Clause(name, False, str(broken))
    return Clause(name, None if detail is None else True, detail or "not recorded")


def _toml(content: bytes) -> Mapping[str, Any]:
    try:
        return tomllib.loads(content.decode("utf-8"))
    except ValueError:
        return {}  # the clause on the study file tells


def _resolved(folder: ResultsFolder) -> str:
    resolved = read_study_toml(folder)
    return f"{resolved.workload}, {resolved.optimizer}, {len(resolved.batch_sizes)} batch sizes"


def _parts(
    folder: ResultsFolder, names: Sequence[str], resolved: ResolvedStudy
) -> list[TrialResult]:
    """Gives the trials of all parts."""
    others = [name for name in folder.names(PARTS) if name not in names and "/." not in name]
    if others:
        raise _BrokenError(f"{PARTS}/ must hold parts alone, got {others[0]}; move it away")
    found: list[TrialResult] = []
    for name in names:
        results = read_part(folder, name, resolved)
        first = results[0]
        own = part_name(first.batch_size, first.cohort, first.point.role)
        if name != own:
            raise _BrokenError(f"a part must have the name of its cohort, {own}, got {name}")
        found += results
    return found


def _hashes(folder: ResultsFolder, names: Sequence[str]) -> Clause:
    found = {name: hash_holds(folder, name) for name in names}
    changed = [name for name, holds in found.items() if holds is False]
    without = sum(holds is None for holds in found.values())
    if changed:
        return Clause(
            "hashes",
            False,
            f"{_counted(changed)} changed since written; delete, and `sweep` runs the trials again",
        )
    if without == len(found):
        return Clause("hashes", None, "not recorded: the parts are from before there were hashes")
    rest = f", {without} from before there were hashes" if without else ""
    return Clause("hashes", True, f"{len(found) - without} parts say what was written{rest}")


def _trials(resolved: ResolvedStudy, results: Sequence[TrialResult]) -> str:
    keys = Counter((r.batch_size, str(r.point.role), r.point.trial) for r in results)
    twice = [_named(key) for key, count in keys.items() if count > 1]
    if twice:
        raise _BrokenError(f"each trial must be there once, got {_counted(twice)} more than once")
    foreign = [
        _named(key)
        for key in keys
        if key[0] not in resolved.batch_sizes
        or (key[1] == Role.SEARCH and key[2] >= resolved.search.trials)
    ]
    if foreign:
        raise _BrokenError(f"trials must be of the study in study.toml, got {_counted(foreign)}")
    missing = [
        f"{standing.waiting} at batch size {standing.batch_size}"
        for standing in CohortQueue(resolved, results).standings()
        if standing.waiting
    ]
    if missing:
        raise _BrokenError(f"trials are missing, {_counted(missing)}; `sweep` again runs them")
    return f"{len(keys)} trials, none twice, none missing"


def _tables(folder: ResultsFolder, resolved: ResolvedStudy, results: Sequence[TrialResult]) -> str:
    order = list(Role).index
    ordered = sorted(results, key=lambda r: (r.batch_size, order(r.point.role), r.point.trial))
    made = {
        n: as_frame(t) for n, t in tables_of(resolved, final_results(resolved, ordered)).items()
    }
    if not folder.exists(BOXES_FILE) and not made[BOXES_FILE]["region"].any():
        del made[BOXES_FILE]  # from before boxes could be widened: study.toml has it
    for name, frame in made.items():
        if not folder.exists(name):
            raise _BrokenError(f"{name} is not there; run `sweep` or `analyze` again")
        _refuse_difference(name, read_table(folder, name), frame)
    return f"{', '.join(made)} are what the parts give"


def _judged_tables(folder: ResultsFolder, resolved: ResolvedStudy) -> str:
    results = final_results(resolved, trials_of_tables(folder, resolved))
    made = tables_of(resolved, results)
    for name in (TRIALS_FILE, CURVES_FILE):
        _refuse_difference(name, read_table(folder, name), as_frame(made[name]))
    return f"{len(results)} trials, each judged as its curve says"


def _refuse_difference(name: str, there: pd.DataFrame, made: pd.DataFrame) -> None:
    if list(there) != list(made):
        raise _BrokenError(f"{name} must have the columns {list(made)}, got {list(there)}")
    if len(there) != len(made):
        raise _BrokenError(f"{name} must have {len(made)} rows, got {len(there)}; `sweep` again")
    for column in made:
        old, new = there[column], made[column]
        unlike = ~((old == new).fillna(False).astype(bool) | (old.isna() & new.isna()))
        if unlike.any():
            row = int(unlike.to_numpy().argmax())
            key = [made[k].iloc[row] for k in TRIAL_KEY if k in made]
            which = _named(key) if len(key) == len(TRIAL_KEY) else f"row {row}"
            raise _BrokenError(
                f"{column} in {name} must be {new.iloc[row]}, got {old.iloc[row]} for {which}; "
                "`sweep` again makes the tables anew"
            )


def _imported(folder: ResultsFolder) -> str:
    resolved = read_study(folder)
    key = list(TRIAL_KEY)
    trials = set(resolved.trials[key].itertuples(index=False, name=None))
    if len(trials) != len(resolved.trials):
        raise _BrokenError(f"{TRIALS_FILE} must name each trial once")
    strange = set(resolved.curves[key].itertuples(index=False, name=None)) - trials
    if strange:
        first = _named(min(strange))
        raise _BrokenError(f"{CURVES_FILE} must be of trials in {TRIALS_FILE}, got {first}")
    return f"{len(trials)} trials; an archive says neither seeds nor data order: none is replayed"


def _summary(folder: ResultsFolder) -> str | None:
    if not folder.exists(SUMMARY_JSON):
        return None
    try:
        there = json.loads(folder.read(SUMMARY_JSON))
        target, first = there["target"], there.get("first")
    except (ValueError, KeyError, TypeError) as error:
        raise _BrokenError(f"{SUMMARY_JSON} must be as `analyze` wrote it, got: {error}") from error
    resolved = read_study(folder)
    own = resolved.config["race"].get("target")
    made = summary_record(analyze(resolved, None if target == own else target, first))
    compared = {name: value for name, value in there.items() if name not in _WORDS}
    unlike = _unlike(compared, json.loads(json.dumps(made)))
    if unlike:
        raise _BrokenError(f"{SUMMARY_JSON}, by this release: {unlike}; `analyze` writes it anew")
    return f"{SUMMARY_JSON} is what the tables give"


def _unlike(there: Any, made: Any, at: str = "") -> str:
    """Says where something differs from what is made now; releases differ in their keys."""
    if isinstance(there, dict) and isinstance(made, dict):
        pairs = [(there[key], made[key], f"{at}.{key}".strip(".")) for key in there if key in made]
    elif isinstance(there, list) and isinstance(made, list) and len(there) == len(made):
        pairs = [(*both, f"{at}[{i}]") for i, both in enumerate(zip(there, made, strict=True))]
    else:
        floats = isinstance(there, float) and isinstance(made, int | float)
        same = math.isclose(there, made, rel_tol=_RELATIVE) if floats else there == made
        return "" if same else f"{at} must be {made!r}, got {there!r}"
    return next((found for pair in pairs if (found := _unlike(*pair))), "")


def _named(key: Sequence[Any]) -> str:
    size, role, trial = key
    return f"{role} trial {trial} at batch size {size}"


def _counted(things: Sequence[str]) -> str:
    return things[0] if len(things) == 1 else f"{things[0]} and {len(things) - 1} more"
