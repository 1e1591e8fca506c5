import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from analysis.errors import AnalysisError
from analysis.tables.files import write_file
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import TRIAL_COLUMNS
from analysis.tables.study import read_study
from study.config.batch_sizes import spread
from study.config.until import Grant
from study.engine.cohort import run_cohort
from study.engine.outcomes import final_results
from study.errors import StudyError
from study.records import (
    Cohort,
    Curve,
    Outcome,
    Point,
    Region,
    Role,
    ScalingRule,
    Seconds,
    Source,
    Status,
    TrialResult,
)
from study.storage.consolidate import consolidate
from study.storage.parts import Parts, part_name, part_names, read_part, write_part
from study.storage.study_folder import open_folder, read_study_toml
from tests.study.cohorts import cohort_of


@pytest.fixture(scope="module")
def swept(shared_training, make_study, tmp_path_factory):
    """Return a folder with two cohorts at batch size 4, the second the faster, and its study."""
    folder = ResultsFolder.at(tmp_path_factory.mktemp("swept") / "blobs")
    study = open_folder(folder, make_study(batch_sizes=[4], search={"trials": 4}))
    for number, lrs in ((0, [0.02, 0.01]), (2, [0.3, 1e-6])):
        cohort = cohort_of(lrs, first=number, seed=number, momentum=0.0)
        write_part(folder, study, run_cohort(study, shared_training(), cohort))
    return folder, study


@pytest.fixture
def recorded(swept, tmp_path):
    """Return a copy of that folder, and its study."""
    folder, study = swept
    shutil.copytree(folder.location, tmp_path / "blobs")
    return ResultsFolder.at(tmp_path / "blobs"), study


def test_a_part_reads_back_as_it_was_written(recorded, training):
    folder, study = recorded
    (first, _) = part_names(folder)
    assert first == part_name(4, 0) == "parts/b00004-c000.parquet"
    again = read_part(folder, first, study)
    write_part(folder, study, again)
    for one, other in zip(again, read_part(folder, first, study), strict=True):
        assert one.outcome == other.outcome
        assert one.point == other.point
        np.testing.assert_array_equal(one.curve.val_error, other.curve.val_error)
        np.testing.assert_array_equal(one.curve.train_loss, other.curve.train_loss)


def test_a_study_reads_back_with_its_columns_in_order(make_study, tmp_path):
    space = {"lr": {"low": 0.1, "high": 1.0}, "momentum": 0.5, "clip_norm": {"low": 1, "high": 2}}
    folder = ResultsFolder.at(tmp_path / "blobs")
    study = open_folder(folder, make_study(search={"space": space}))
    again = read_study_toml(folder)
    assert again == study
    assert again.hyperparameters == ("lr", "momentum", "clip_norm")


def test_the_final_cap_is_applied_to_every_cohort(recorded):
    folder, study = recorded
    consolidate(Parts(folder, study))
    tables = read_study(folder)
    trials = tables.trials.set_index("trial")
    best = trials["steps"].min()
    assert trials.loc[2, "steps"] == best
    slow = trials.loc[[0, 1, 3]]
    assert (slow["status"] == "capped").all()
    assert slow["stopped_at"].between(1.5 * best, 1.5 * best * 1.03 + 1).all()
    assert tables.curves["step"].max() <= 1.5 * best * 1.03 + 1
    assert (tables.curves.groupby("trial")["step"].min() == 0).all()


def test_tables_do_not_depend_on_the_order_of_parts(recorded):
    folder, study = recorded
    consolidate(Parts(folder, study))
    before = read_study(folder)
    parts = part_names(folder)
    results = [read_part(folder, name, study) for name in parts]
    for name in parts:
        Path(folder.base, name).unlink()
    for cohort in reversed(results):
        write_part(folder, study, cohort)
    consolidate(Parts(folder, study))
    after = read_study(folder)
    assert_frame_equal(before.trials, after.trials)
    assert_frame_equal(before.curves, after.curves)


def test_columns_are_those_of_the_schema(recorded):
    folder, study = recorded
    consolidate(Parts(folder, study))
    trials = read_study(folder).trials
    assert set(trials.columns) == {*TRIAL_COLUMNS, "lr", "momentum"}
    assert trials.loc[trials["status"] != "reached", "steps"].isna().all()
    assert trials["steps"].dtype == pd.Int64Dtype()


def test_replicates_and_extensions_are_read_back_as_they_were(recorded, training):
    folder, study = recorded
    more = study.replicates.model_copy(update={"seeds": 2})
    study = open_folder(folder, study.model_copy(update={"replicates": more}))
    fast = min((r for r in Parts(folder, study) if r.outcome.steps), key=lambda r: r.outcome.steps)
    again = Source(4, Role.SEARCH, fast.point.trial, ScalingRule.SAME)
    replicates = tuple(
        Point(trial=k, seed=70 + k, values=fast.point.values, role=Role.REPLICATE, source=again)
        for k in range(2)
    )
    region = Region(number=1, box={"lr": (1.0, 5.0), "momentum": (0.0, 0.99)}, first=0, trials=1)
    further = Point(trial=0, seed=9, values={"lr": 2.0, "momentum": 0.0}, role=Role.EXTENSION)
    for points, changes in (
        (replicates, {"best_steps": fast.outcome.steps}),
        ((further,), {"region": region}),
    ):
        cohort = Cohort(batch_size=4, points=points, **changes)
        write_part(folder, study, run_cohort(study, training(), cohort))
    names = [name.removeprefix("parts/b00004-") for name in part_names(folder)]
    assert names == ["c000.parquet", "c002.parquet", "x000.parquet", "r000.parquet"]
    results = list(Parts(folder, study))
    assert [r.point.role for r in results] == [Role.SEARCH] * 4 + [Role.EXTENSION] + [
        Role.REPLICATE
    ] * 2
    assert [r.point for r in results[-2:]] == list(replicates)
    assert results[4].region == region
    consolidate(Parts(folder, study))
    tables = read_study(folder)
    assert tables.box(4)["lr"] == {"low": 0.001, "high": 5.0, "scale": "log"}
    assert tables.box(16)["lr"]["high"] == 1.0
    curves = tables.curves.groupby(["role", "trial"])["step"].max()
    trials = tables.trials.set_index(["role", "trial"])["stopped_at"]
    assert (curves == trials.loc[curves.index]).all()
    assert (trials["replicate"] > 0).all()


def test_a_slow_replicate_is_judged_by_its_own_point_not_by_the_fastest_trial(make_study):
    study = make_study(batch_sizes=[4], replicates={"seeds": 2, "slack": 3.0})
    fast, slow = made_result(0, 20), made_result(1, 29)
    late = made_result(0, 80, Source(4, Role.SEARCH, 1, ScalingRule.SAME))
    later = made_result(1, 95, Source(4, Role.SEARCH, 1, ScalingRule.SAME))
    final = final_results(study, [fast, slow, late, later])
    assert [r.outcome.status for r in final] == ["reached", "reached", "reached", "capped"]
    assert final[3].outcome.stopped_at == 87


def test_re_runs_of_a_lucky_trial_are_judged_by_their_median_once_more_were_granted(make_study):
    study = make_study(
        batch_sizes=[4], replicates={"seeds": 3, "slack": 3.0}, race={"max_steps": 1000}
    )
    lucky = Source(4, Role.SEARCH, 0, ScalingRule.SAME)
    again = [made_result(number, steps, lucky) for number, steps in enumerate((70, 90, 400))]
    results = [made_result(0, 20), *again]
    capped = [r.outcome.status for r in final_results(study, results)]
    assert capped == ["reached", "capped", "capped", "capped"]
    study = study.with_grants([Grant(batch_size=4, trials=6, seeds=5)])
    judged = [r.outcome.status for r in final_results(study, results)]
    assert judged == ["reached", "reached", "reached", "capped"]  # at 3 x 90


def made_result(trial, steps, source=None):
    """A trial whose error falls below the target at `steps`."""
    role = Role.SEARCH if source is None else Role.REPLICATE
    grid, nothing = np.arange(steps + 1), np.zeros(steps + 1)
    error = np.where(grid < steps, 0.5, 0.0)
    return TrialResult(
        batch_size=4,
        cohort=0,
        point=Point(trial=trial, seed=0, values={"lr": 0.1}, role=role, source=source),
        curve=Curve(
            step=grid, train_loss=nothing, val_loss=nothing, val_error=error, seconds=nothing
        ),
        outcome=Outcome(
            status=Status.REACHED, steps=steps, steps_before=steps - 1, stopped_at=steps,
            best_error=0.0,
        ),
        seconds=Seconds(),
    )  # fmt: skip


def test_a_part_in_the_place_of_another_is_refused(recorded):
    folder, study = recorded
    write_file(folder, part_name(4, 3), folder.read(part_name(4, 2)))
    with pytest.raises(StudyError, match=r"a trial of parts/b00004-c002.* in .*c003.parquet; del"):
        list(Parts(folder, study))


def test_the_resolved_study_is_written_and_read_back(recorded):
    folder, study = recorded
    assert read_study_toml(folder) == study


def test_trials_and_batch_sizes_may_be_added(recorded, make_study):
    folder, _ = recorded
    wider = make_study(
        batch_sizes=[2, 8], search={"trials": 9, "extend": 2}, replicates={"seeds": 3, "top": 2}
    )
    grown = open_folder(folder, wider)
    assert grown.batch_sizes == (2, 4, 8)
    assert (grown.search.trials, grown.search.extend) == (9, 2)
    assert (grown.replicates.seeds, grown.replicates.top) == (3, 2)
    fewer = open_folder(folder, make_study(batch_sizes=[4], search={"trials": 2}))
    assert fewer == grown


def test_a_sweep_that_chose_its_batch_sizes_continues_with_them(make_study, tmp_path):
    def chooses(*candidates):
        return make_study(batch_sizes=spread(candidates), candidates=candidates)

    folder, first = ResultsFolder.at(tmp_path / "chosen"), chooses(2, 4, 8, 16, 32, 64)
    added = first.with_grants([Grant(batch_size=2, trials=6, seeds=2)])
    there = open_folder(folder, added)
    assert there.batch_sizes == (2, *first.batch_sizes)
    assert open_folder(folder, first) == there
    assert open_folder(folder, chooses(1, 2, 4, 8, 16, 32, 64)).batch_sizes == there.batch_sizes
    listed = open_folder(folder, make_study(batch_sizes=[1]))
    assert listed.batch_sizes == (1, *there.batch_sizes)
    assert (listed.unmeasured, listed.candidates) == ((), (1, 2, 4, 8, 16, 32, 64))
    assert open_folder(folder, listed) == listed
    assert open_folder(folder, first).unmeasured == (64,)


def test_another_study_is_refused_with_the_difference(recorded, make_study):
    folder, study = recorded
    before = folder.read("study.toml")
    with pytest.raises(StudyError, match=r"race.slack = 2.0 where the folder has 1.5"):
        open_folder(folder, make_study(batch_sizes=[4], race={"slack": 2.0}))
    assert folder.read("study.toml") == before


def test_a_folder_of_something_else_is_refused(tmp_path, make_study):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StudyError, match="must be empty or contain a study"):
        open_folder(ResultsFolder.at(tmp_path), make_study())
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_a_store_with_something_else_in_it_is_refused(store, make_study):
    folder = ResultsFolder.at(store.uri("study"))
    folder.write("notes.txt", b"mine")
    with pytest.raises(StudyError, match=r"must be empty or contain a study, got s3://"):
        open_folder(folder, make_study())
    assert not folder.exists("study.toml")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path, make_study):
    (tmp_path / "file").write_text("")
    with pytest.raises(AnalysisError, match="must be"):
        open_folder(ResultsFolder.at(tmp_path / "file" / "study"), make_study())


def test_a_truncated_part_is_named_with_its_remedy(recorded):
    folder, study = recorded
    folder.write(part_name(4, 0), folder.read(part_name(4, 0))[:200])
    with pytest.raises(AnalysisError, match=r"b00004-c000.parquet must have.*; delete it, and"):
        list(Parts(folder, study))


def test_a_part_of_another_study_is_refused(recorded, make_study):
    folder, _ = recorded
    with pytest.raises(StudyError, match="must belong to the study in its folder"):
        read_part(folder, part_name(4, 0), make_study(seed=1))
