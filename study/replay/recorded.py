"""The recorded trials of a results folder, from its parts or, without parts, its tables."""

import math
from collections.abc import Sequence

import torch

from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import CURVES_FILE, TRIAL_KEY, TRIALS_FILE
from analysis.tables.study import read_table
from study.config.study import ResolvedStudy
from study.engine.networks.training import Trainable, prepare
from study.engine.outcomes import final_results
from study.errors import StudyError
from study.records import CURVE_FIELDS, Curve, TrialResult
from study.search.replicates import fastest
from study.storage.parts import Parts, part_names
from study.storage.provenance import used_gpus
from study.storage.trial_rows import from_row
from workloads.registry import resolve as resolve_workload

_KEY = list(TRIAL_KEY)


def recorded_trials(folder: ResultsFolder, resolved: ResolvedStudy) -> list[TrialResult]:
    """Return every trial of a folder with its final outcome, sorted by batch size, role and number.

    The tables are read if there are no parts, as in a published folder.
    """
    if part_names(folder):
        return final_results(resolved, Parts(folder, resolved))
    return trials_of_tables(folder, resolved)


def load_as_recorded(folder: ResultsFolder, resolved: ResolvedStudy) -> Trainable:
    """Return a study's workload, loaded on a GPU if its sweep used one, else for one CPU thread."""
    torch.set_num_threads(1)  # as in a worker, because more threads round sums differently
    device = "cuda" if used_gpus(folder) and torch.cuda.is_available() else "cpu"
    workload = resolve_workload(resolved.workload, resolved.workload_options)
    return prepare(workload, device, resolved.compute.precision)


def winners(resolved: ResolvedStudy, recorded: Sequence[TrialResult]) -> list[TrialResult]:
    """Return the search trial with the fewest steps at each batch size that reached the target."""
    return [
        best
        for size in resolved.batch_sizes
        for best in fastest([result for result in recorded if result.batch_size == size])
    ]


def trials_of_tables(folder: ResultsFolder, resolved: ResolvedStudy) -> list[TrialResult]:
    """Return the trials in `trials.parquet` and `curves.parquet`, in the order of the table."""
    trials, curves = read_table(folder, TRIALS_FILE), read_table(folder, CURVES_FILE)
    missing = [name for name in resolved.hyperparameters if name not in trials]
    if missing:
        raise StudyError(
            f"{folder / TRIALS_FILE} must have a column for each hyperparameter of study.toml, "
            f"got none for {missing[0]}; run `sweep` again"
        )
    by_trial = dict(list(curves.groupby(_KEY, sort=False)))
    results = []
    for row in trials.astype(object).where(trials.notna(), None).to_dict("records"):
        rows = by_trial.get(tuple(row[name] for name in _KEY), curves.head(0))
        named = {str(name): value for name, value in row.items()}
        names = (*CURVE_FIELDS, *resolved.further)
        curve = Curve.of({n: rows[n].to_numpy(float, na_value=math.nan) for n in names})
        results.append(from_row(named, resolved.hyperparameters, curve))
    return results
