"""A study of which trials failed says so, and its other batch sizes are analysed."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.errors import AnalysisError
from analysis.figures import draw
from analysis.figures.one_study.goals import goals_data
from analysis.figures.one_study.steps import NOT_REACHED, steps_data
from analysis.report.failures import failure_records, failure_sentences
from analysis.report.record import sentences, summary_record
from analysis.report.summary import analyze

STEPS = {4: 1600, 8: 800, 16: 400, 32: 200, 64: 100}


def failing(study, sizes, trials=16, message="RuntimeError: no\nand no"):
    """Return the study with the first trials of some batch sizes failed."""
    table, curves = study.trials.copy(), study.curves
    hit = table["batch_size"].isin(sizes) & (table["trial"] < trials)
    table.loc[hit, ["status", "message", "stopped_at"]] = ["failed", message, 0]
    table.loc[hit, ["steps", "steps_before"]] = pd.NA
    table.loc[hit, "best_error"] = np.nan
    gone = curves["batch_size"].isin(sizes) & (curves["trial"] < trials)
    return replace(study, trials=table, curves=curves[~gone])


def test_failures_are_counted_and_quoted_by_batch_size():
    trials = [(16, "failed", ""), (4, "reached", ""), (4, "failed", "one\ntwo"), (4, "failed", "b")]
    assert failure_sentences(failure_records(trials)) == (
        'B = 4: 2 of 3 trials failed, the first with "one".',
        'B = 16: 1 of 1 trials failed, the first with "".',
    )


def test_a_summary_names_what_failed(made):
    study = failing(made(STEPS), [8], trials=2)
    as_read = study.trials.astype({"batch_size": "Int64"})
    analysis = analyze(replace(study, trials=as_read))
    assert json.loads(json.dumps(summary_record(analysis)))["failures"][0]["batch_size"] == 8
    found = sentences(analysis)
    assert 'B = 8: 2 of 16 trials failed, the first with "RuntimeError: no".' in found
    assert not any("failed" in sentence for sentence in sentences(analyze(made(STEPS))))


def test_a_batch_size_where_all_failed_is_in_no_fit_and_no_figure(made):
    analysis = analyze(failing(made(STEPS), [8, 64]))
    assert analysis.fits["hyperbola"].points.batch_sizes.tolist() == [4, 16, 32]
    assert not any("within 0 steps" in sentence for sentence in sentences(analysis))
    data = steps_data(analysis)
    assert NOT_REACHED not in set(data["series"])
    bottom, top = draw(analysis).axes[0].get_ylim()
    assert 0 < bottom < 200 < 1600 < top
    goals = goals_data(analysis)
    assert (goals["steps"] > 0).all()
    draw(analysis, "goals")


def test_a_study_where_nothing_trained_is_refused(made):
    with pytest.raises(AnalysisError, match="must have a trial that trained, got made where none"):
        analyze(failing(made(STEPS), list(STEPS)))
