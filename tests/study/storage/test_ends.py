"""What `status` counts agrees with what the tables hold."""

import shutil
from pathlib import Path

import pytest

from analysis.tables.folder import ResultsFolder
from study.engine.outcomes import final_results
from study.records import Curve, Outcome, Point, Seconds, Status, TrialResult
from study.storage.consolidate import consolidate, tables_of
from study.storage.ends import read_ends
from study.storage.parts import Parts, write_part
from study.storage.study_folder import read_study_toml

GOLDEN = Path(__file__).parents[2] / "golden"


def reached(rows):
    return {(row["batch_size"], row["role"], row["trial"], row["steps"]) for row in rows}


@pytest.mark.parametrize("name", ["search", "recipe"])
def test_parts_and_tables_tell_the_same(tmp_path, name):
    shutil.copytree(GOLDEN / name, tmp_path / name)
    folder = ResultsFolder.at(tmp_path / name)
    resolved = read_study_toml(folder)
    tables = tables_of(resolved, final_results(resolved, Parts(folder, resolved)))
    ends = read_ends(folder, resolved)
    assert reached(ends.trials) == reached(tables["trials.parquet"].to_pylist())
    assert ends.boxes == tables["boxes.parquet"].to_pylist()
    consolidate(Parts(folder, resolved))
    shutil.rmtree(tmp_path / name / "parts")
    moved = read_ends(folder, resolved)
    assert reached(moved.trials) == reached(ends.trials)
    assert moved.boxes == ends.boxes


def trial(number, steps, before):
    curve = Curve.empty()
    return TrialResult(
        batch_size=4,
        cohort=number,
        point=Point(trial=number, seed=number, values={"lr": 0.1, "momentum": 0.0}),
        curve=curve,
        outcome=Outcome(
            status=Status.REACHED, steps=steps, steps_before=before, stopped_at=steps, best_error=0
        ),
        seconds=Seconds(),
    )


def test_a_hit_after_the_cap_that_others_set_is_none(tmp_path, make_study):
    study, folder = make_study(), ResultsFolder.at(tmp_path)
    for number, steps, before in [(0, 100, 90), (1, 155, 149), (2, 155, 150)]:
        write_part(folder, study, [trial(number, steps, before)])
    found = {row["trial"]: (row["status"], row["steps"]) for row in read_ends(folder, study).trials}
    assert found == {0: ("reached", 100), 1: ("reached", 155), 2: ("capped", None)}


def test_a_study_without_a_trial_has_its_box(tmp_path, make_study):
    ends = read_ends(ResultsFolder.at(tmp_path), make_study())
    assert ends.trials == []
    assert {row["hyperparameter"] for row in ends.boxes} == {"lr", "momentum"}
