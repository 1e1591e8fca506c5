"""A fresh study passes every clause; each kind of tampering breaks the clause that is for it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.report.summary import analyze
from analysis.report.write import write_summary
from analysis.tables.files import write_file
from analysis.tables.folder import ResultsFolder
from analysis.tables.study import read_study
from study.engine.networks.training import prepare
from study.replay.verification import check_folder
from study.replay.winners import check_winners
from study.storage.consolidate import consolidate
from study.storage.parts import Parts, part_names, read_part, write_part
from study.storage.provenance import record_end, record_start
from study.storage.study_folder import open_folder, read_study_toml
from workloads.registry import resolve

BLOBS = f"{Path(__file__).parents[2] / 'blobs.py'}:Blobs"
CLAUSES = ["study.toml", "digests", "parts", "trials", "tables", "summary"]
WINNERS = ["winner at batch size 4", "winner at batch size 16"]


@pytest.fixture(scope="module")
def fresh(make_study, run_alone, tmp_path_factory):
    """Make a folder as a sweep and `analyze` leave it, with no Ray about."""
    space = {"lr": {"low": 1e-3, "high": 3e-2, "scale": "log"}, "momentum": 0.5}
    study = make_study(workload=BLOBS, search={"space": space}, replicates={"seeds": 2, "top": 1})
    folder = ResultsFolder.at(tmp_path_factory.mktemp("fresh") / "blobs")
    open_folder(folder, study)
    record_start(folder, {"workers": 1, "gpus_per_worker": 0.0}, {"mode": "packed"})
    run_alone(folder, study, prepare(resolve(BLOBS), "cpu"))
    record_end(folder)
    write_summary(analyze(read_study(folder)), folder)
    return Path(folder.location)


@pytest.fixture
def swept(fresh, tmp_path):
    """Return a copy of the fresh folder."""
    return shutil.copytree(fresh, tmp_path / "blobs")


def checked(path):
    return list(check_folder(ResultsFolder.at(path)))


def broken(path):
    return {clause.name: clause.detail for clause in checked(path) if clause.passed is False}


def rewrite(path, change):
    """Changes a parquet file's rows and leaves its schema and metadata."""
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


def test_a_fresh_study_passes_and_nothing_is_written(swept):
    before = {path: path.read_bytes() for path in swept.rglob("*") if path.is_file()}
    found = [*checked(swept), *check_winners(ResultsFolder.at(swept))]
    assert [clause.name for clause in found] == CLAUSES + WINNERS
    assert all(clause.passed for clause in found), found
    assert all("agrees in every bit" in clause.detail for clause in found[-2:])
    assert {path: path.read_bytes() for path in swept.rglob("*") if path.is_file()} == before


PART = "parts/b00004-c000.parquet"


def nudge(column, by=1e-9):
    def change(rows):
        value = rows[1][column]
        rows[1][column] = [x + by for x in value] if isinstance(value, list) else value + by

    return change


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def one_step_more(path):
    summary = json.loads(path.read_text())
    summary["table"][0]["steps"] += 1
    path.write_text(json.dumps(summary))


def foreign(path):
    table = pq.read_table(path / PART)
    other = {**table.schema.metadata, b"batchscale.study": b"0123456789abcdef"}
    pq.write_table(table.replace_schema_metadata(other), path / PART)


TAMPERED = {
    "a measurement in a part": (
        lambda path: rewrite(path / PART, nudge("curve_val_loss")),
        {"tables": "val_loss in curves.parquet must be"},
    ),
    "a time in a part": (
        lambda path: rewrite(path / PART, nudge("training_seconds")),
        {"tables": "training_seconds in trials.parquet must be"},
    ),
    "a point in trials.parquet": (
        lambda path: rewrite(path / "trials.parquet", nudge("lr")),
        {"tables": "for search trial 1 at batch size 4"},
    ),
    "a step in curves.parquet": (
        lambda path: rewrite(path / "curves.parquet", nudge("step", 1)),
        {"tables": "step in curves.parquet must be 1, got 2 for search trial 0 at batch size 4"},
    ),
    "an end of a box": (
        lambda path: rewrite(path / "boxes.parquet", nudge("low")),
        {"tables": "low in boxes.parquet must be 0.0", "summary": "boxes.parquet"},
    ),
    "a table that is none": (
        lambda path: (path / "boxes.parquet").write_bytes(b""),
        {"tables": "must be a parquet table", "summary": "must be a parquet table"},
    ),
    "a row of a table gone": (
        lambda path: rewrite(path / "curves.parquet", lambda rows: rows.pop()),
        {"tables": "curves.parquet must have", "summary": "curves.parquet"},
    ),
    "a part gone": (
        lambda path: (path / PART).unlink(),
        {"trials": "trials are missing, 4 at batch size 4", "tables": "rows, got"},
    ),
    "a part that is none": (
        lambda path: (path / PART).write_bytes(b"PAR1"),
        {"parts": "must be a parquet table"},
    ),
    "another study's part": (foreign, {"parts": "must belong to the study in its folder"}),
    "a part twice": (
        lambda path: write_file(
            ResultsFolder.at(path), "parts/b00004-c001.parquet", (path / PART).read_bytes()
        ),
        {"parts": f"got a trial of {PART} in"},
    ),
    "another file among the parts": (
        lambda path: (path / "parts/notes.txt").write_text("mine"),
        {"parts": "must contain parts only, got parts/notes.txt"},
    ),
    "another target": (
        lambda path: edit(path / "study.toml", "target = 0.1", "target = 0.2"),
        {"parts": "must belong to the study in its folder"},
    ),
    "more trials wanted": (
        lambda path: edit(path / "study.toml", "trials = 6", "trials = 8"),
        {
            "trials": "trials are missing, 2 at batch size 4 and 1 more",
            "summary": "unfinished must be",
        },
    ),
    "fewer batch sizes": (
        lambda path: edit(path / "study.toml", "[4, 16]", "[4]"),
        {"parts": "a part must be as a worker wrote it, got trial 0 at batch size 16"},
    ),
    "a study file that is none": (
        lambda path: (path / "study.toml").write_text("batch_sizes = ["),
        {"study.toml": "must be as batchscale wrote it"},
    ),
    "a number in the summary": (
        lambda path: one_step_more(path / "summary.json"),
        {"summary": "table[0].steps must be"},
    ),
}


@pytest.mark.parametrize(("tamper", "expected"), TAMPERED.values(), ids=TAMPERED)
def test_tampering_breaks_its_clause_whatever_the_digests_say(swept, accept, tamper, expected):
    tamper(swept)
    accept(swept)
    found = broken(swept)
    assert list(found) == list(expected)
    for name, words in expected.items():
        assert words in found[name]


def test_a_missing_table_is_named(swept):
    (swept / "trials.parquet").unlink()
    found = broken(swept)
    assert "trials.parquet is missing; run `analyze`" in found["tables"]


@pytest.mark.parametrize(
    ("name", "clauses"),
    {
        "study.toml": ["study.toml"],
        "provenance.json": ["digests"],
        "boxes.parquet": ["digests", "tables", "summary"],
        PART: ["parts"],
        "summary.json": ["digests", "summary"],
    }.items(),
)
def test_other_bytes_break_the_clauses_of_their_file(swept, name, clauses):
    with (swept / name).open("ab") as file:
        file.write(b"\n")
    found = broken(swept)
    assert list(found) == clauses
    assert all(f"{name} must have the digest in" in detail for detail in found.values())


def early(result):
    """Return a trial that claims to have been at the target some measurements before it was."""
    curve = result.curve.until(len(result.curve.step) - 3)
    curve = replace(curve, val_error=np.append(curve.val_error[:-1], 0.05))
    steps = {"steps": int(curve.step[-1]), "steps_before": int(curve.step[-2])}
    return replace(result, curve=curve, outcome=replace(result.outcome, **steps))


def test_a_winner_that_misses_its_recorded_steps_is_found_out(swept, accept):
    folder = ResultsFolder.at(swept)
    study = read_study_toml(folder)
    for name in part_names(folder):
        results = read_part(folder, name, study)
        write_part(folder, study, [early(r) if r.outcome.steps else r for r in results])
    consolidate(Parts(folder, study))
    write_summary(analyze(read_study(folder)), folder)
    provenance = json.loads((swept / "provenance.json").read_text())
    provenance["sweeps"][0]["packages"]["torch"] = "1.0"
    (swept / "provenance.json").write_text(json.dumps(provenance))
    accept(swept)
    assert not broken(swept)
    found = list(check_winners(folder))
    assert [clause.name for clause in found] == WINNERS
    for clause in found:
        assert clause.passed is False
        assert "it had not reached it by step" in clause.detail
        assert "where 0.05 is recorded" in clause.detail
        assert clause.detail.endswith("recorded with 1.0")


def test_a_winner_that_reaches_the_target_earlier_is_found_out(swept):
    folder = ResultsFolder.at(swept)
    study = read_study_toml(folder)
    for name in part_names(folder):
        results = [
            replace(r, point=replace(r.point, values={"lr": 0.3, "momentum": 0.5}))
            for r in read_part(folder, name, study)
        ]
        write_part(folder, study, results)
    first = next(check_winners(folder))
    assert first.passed is False
    assert "differences of environment: none known" in first.detail


def test_tables_alone_are_checked_and_replayed(swept, accept):
    shutil.rmtree(swept / "parts")
    found = {clause.name: clause.passed for clause in checked(swept)}
    assert found == dict.fromkeys(CLAUSES, True) | {"parts": None}
    assert [clause.passed for clause in check_winners(ResultsFolder.at(swept))] == [True, True]

    def faster(rows):
        for row in rows:
            row["steps"] = row["steps"] and row["steps"] - 1

    rewrite(swept / "trials.parquet", faster)
    accept(swept)
    assert "in trials.parquet must be" in broken(swept)["tables"]


def test_unreadable_trials_are_not_trained_again(swept):
    (swept / PART).write_bytes(b"PAR1")
    (clause,) = check_winners(ResultsFolder.at(swept))
    assert clause.passed is None


@pytest.mark.parametrize("verb", ["verify", "diagnose"])
def test_a_file_that_the_study_names_runs_only_when_asked(command, swept, verb):
    code, _, err = command(verb, swept)
    assert code == 2
    assert "got workload Blobs in" in err
    assert "blobs.py" in err
    assert "--run-code" in err
    code, _, err = command(verb, swept, "--run-code")
    assert code == 0, err


@pytest.mark.slow
def test_a_pruned_study_with_budgets_of_its_own_passes(make_study, run_alone, tmp_path):
    space = {
        "lr": {"low": 1e-4, "high": 0.03, "scale": "log"},
        "momentum": 0.5,
        "decay_fraction": {"low": 0.5, "high": 1.0},
        "end_factor": 0.0,
    }
    study = make_study(
        workload=BLOBS,
        batch_sizes=[4, 8, 16],
        search={"space": space, "trials": 12},
        race={"prune": [0.25, 0.5], "max_steps": {"4": 200, "16": 80}, "cohort": {"lanes": 6}},
        schedule={"name": "linear-decay"},
    )
    folder = ResultsFolder.at(tmp_path / "blobs")
    open_folder(folder, study)
    record_start(folder, {"workers": 1, "gpus_per_worker": 0.0}, {"mode": "packed"})
    run_alone(folder, study, prepare(resolve(BLOBS), "cpu"))
    record_end(folder)
    trials = read_study(folder).trials
    assert trials.groupby("batch_size")["max_steps"].unique().map(list).to_dict() == {
        4: [200],
        8: [126],
        16: [80],
    }
    assert trials["status"].eq("pruned").sum() > 6
    found = [*checked(folder.location), *check_winners(folder)]
    assert {clause.passed for clause in found} == {True, None}
    assert sum("its curve agrees in every bit" in clause.detail for clause in found) == 3
    shutil.rmtree(Path(folder.location) / "parts")
    assert {clause.passed for clause in checked(folder.location)} == {True, None}
