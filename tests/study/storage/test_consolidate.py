"""Tables made column by column from parts are those of the same trials one by one."""

import numpy as np
import pandas as pd
import pytest

from analysis.tables.files import read_table_file
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import TEST_ERROR
from analysis.tables.study import as_frame
from study.engine.outcomes import final_results
from study.records import Curve, Outcome, Point, Role, Seconds, Status, TrialResult
from study.storage.consolidate import consolidate, study_tables, tables_of
from study.storage.parts import Parts, write_part
from study.storage.study_folder import open_folder


def made_trial(rng, trial, cohort):
    step = np.unique(rng.integers(1, 200, rng.integers(0, 12)))
    error = np.sort(rng.uniform(0.02, 0.9, step.size))[::-1]
    below = np.flatnonzero(error < 0.1)
    broke = rng.random() < 0.3
    further = {"f1": rng.random(step.size), TEST_ERROR: rng.random(step.size)}
    for measured in further.values():
        measured[rng.random(step.size) < 0.3] = np.nan
    status, steps = Status.EXHAUSTED, None
    if broke:
        status = Status.FAILED
    elif below.size:
        status, steps = Status.REACHED, int(step[below[0]])
    last = int(step[-1]) if step.size else 0
    return TrialResult(
        batch_size=4,
        cohort=cohort,
        point=Point(trial=trial, seed=trial, values={"lr": 0.1, "momentum": 0.0}, role=Role.SEARCH),
        curve=Curve.of(
            {"step": step, "train_loss": error, "val_loss": error, "val_error": error}
            | {"seconds": error}
            | further
        ),
        outcome=Outcome(
            status=status,
            steps=steps,
            steps_before=0 if steps else None,
            stopped_at=steps or last,
            best_error=float(error.min()) if step.size else None,
        ),
        seconds=Seconds(),
        message="broke" if broke else "",
    )


@pytest.mark.parametrize("seed", range(5))
def test_tables_made_by_columns_equal_tables_made_by_trials(tmp_path, make_study, seed):
    rng = np.random.default_rng(seed)
    study = make_study(quantities=["f1", TEST_ERROR], search={"trials": 8})
    folder = ResultsFolder.at(tmp_path)
    open_folder(folder, study)
    for cohort in range(2):
        rows = [made_trial(rng, 4 * cohort + number, cohort) for number in range(4)]
        write_part(folder, study, rows)
    results = final_results(study, list(Parts(folder, study)))
    by_trial = tables_of(study, results)
    consolidate(Parts(folder, study))
    in_memory = study_tables(folder)
    for name, table in by_trial.items():
        assert read_table_file(folder, name).to_pylist() == table.to_pylist(), name
        frame = getattr(in_memory, name.removesuffix(".parquet"))
        pd.testing.assert_frame_equal(frame, as_frame(table))
    assert any(row[TEST_ERROR] is not None for row in by_trial["trials.parquet"].to_pylist())
