"""What `status` counts agrees with what the tables hold."""

import shutil
from pathlib import Path

import pytest

from analysis.tables.folder import ResultsFolder
from study.engine.outcomes import final_results
from study.records import Curve, Outcome, Point, Seconds, Status, TrialResult
from study.storage import ends
from study.storage.consolidate import consolidate, tables_of
from study.storage.ends import read_ends
from study.storage.parts import Parts, write_part
from study.storage.study_folder import read_study_toml

GOLDEN = Path(__file__).parents[2] / "golden"


def reached(rows):
    return {(row["batch_size"], row["role"], row["trial"], row["steps"]) for row in rows}


@pytest.mark.parametrize("name", ["search", "recipe"])
def test_parts_and_tables_agree(tmp_path, name):
    shutil.copytree(GOLDEN / name, tmp_path / name)
    folder = ResultsFolder.at(tmp_path / name)
    resolved = read_study_toml(folder)
    tables = tables_of(resolved, final_results(resolved, Parts(folder, resolved)))
    recorded = read_ends(folder, resolved)
    assert reached(recorded.trials) == reached(tables["trials.parquet"].to_pylist())
    assert recorded.boxes == tables["boxes.parquet"].to_pylist()
    consolidate(Parts(folder, resolved))
    shutil.rmtree(tmp_path / name / "parts")
    moved = read_ends(folder, resolved)
    assert reached(moved.trials) == reached(recorded.trials)
    assert moved.boxes == recorded.boxes


def test_tables_are_read_for_the_parts_they_hold(tmp_path, make_study, monkeypatch):
    study, folder = make_study(), ResultsFolder.at(tmp_path)
    parts = [write_part(folder, study, [trial(number, 100, 90)]) for number in (0, 1)]
    consolidate(Parts(folder, study))
    with monkeypatch.context() as patch:
        patch.setattr(ends, "part_table", lambda *_: pytest.fail("a part was read"))
        assert len(read_ends(folder, study).trials) == 2
    folder.remove(parts[0])
    assert [row["trial"] for row in read_ends(folder, study).trials] == [1]
    write_part(folder, study, [trial(0, 80, 70)])  # as in a sweep that was killed before its end
    assert [row["steps"] for row in read_ends(folder, study).trials] == [80, 100]
    (tmp_path / "trials.parquet").write_bytes(b"damaged")
    assert len(read_ends(folder, study).trials) == 2


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


def test_a_hit_after_the_cap_set_by_others_does_not_count(tmp_path, make_study):
    study, folder = make_study(), ResultsFolder.at(tmp_path)
    for number, steps, before in [(0, 100, 90), (1, 155, 149), (2, 155, 150)]:
        write_part(folder, study, [trial(number, steps, before)])
    found = {row["trial"]: (row["status"], row["steps"]) for row in read_ends(folder, study).trials}
    assert found == {0: ("reached", 100), 1: ("reached", 155), 2: ("capped", None)}


def test_a_study_without_trials_has_its_box(tmp_path, make_study):
    found = read_ends(ResultsFolder.at(tmp_path), make_study())
    assert found.trials == []
    assert {row["hyperparameter"] for row in found.boxes} == {"lr", "momentum"}
