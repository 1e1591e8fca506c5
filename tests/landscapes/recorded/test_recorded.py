import numpy as np
import pandas as pd
import pytest

from study.config.space import Range
from tests.landscapes.judge_searches import Setting
from tests.landscapes.quadratic import Landscape, fewest_steps, true_b_crit
from tests.landscapes.races import made_study, run_study
from tests.landscapes.recorded.landscape import HELD_OUT, OTHERS, RecordedLandscape, landscape
from tests.landscapes.recorded.record import RECORDINGS, STUDIES, recording
from tests.landscapes.whole import judged, tables

NAMES = sorted(path.stem for path in RECORDINGS.glob("*.parquet"))


class Few(Landscape):
    """A quadratic at few batch sizes."""

    batch_sizes = (4, 64, 1024, 16384)


SGD = Few("sgd", 1.0, 1.0, 0.01)
HEAVY_BALL = Landscape("heavy-ball", 0.75, 1.0, 0.02)


def recorded(quadratic, trials, noise=0.15):
    """Return a quadratic recorded as real training is."""
    study = made_study(quadratic, "halton", trials, lanes=16, seeds=2)
    race = study.race.model_copy(update={"slack": 4.0})
    again = study.replicates.model_copy(update={"top": trials})
    study = study.model_copy(update={"race": race, "replicates": again})
    results = [run for runs in run_study(study, quadratic, noise).values() for run in runs]
    return RecordedLandscape(recording(tables(study, results)))


def test_the_bank_has_every_recording():
    assert {*NAMES} == {*STUDIES} == {*OTHERS, *HELD_OUT}


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_has_dense_points_seeds_and_curves_not_cut_short(name):
    path = RECORDINGS / f"{name}.parquet"
    runs = pd.read_parquet(path)
    assert path.stat().st_size < 200_000
    searched = runs[runs["seed"] == 0]
    for size, points in searched.groupby("batch_size"):
        assert len(points) >= 64, size
        missed = points.loc[points["status"] == "capped", "stopped_at"]
        assert (missed >= 4 * points.loc[points["status"] == "reached", "stopped_at"].min()).all()
    again = runs.groupby(["batch_size", "point"])["seed"].max()
    assert (again[searched.set_index(again.index.names)["status"] == "reached"] == 2).all()
    steps = runs.filter(like="steps_").to_numpy(float, na_value=np.inf)
    assert (steps[:, 1:] >= steps[:, :-1]).all()
    assert (runs.filter(like="before_").to_numpy(float, na_value=0) < steps).all()
    reached = (runs["status"] == "reached").to_numpy()
    assert (steps[reached, -1] == runs.loc[reached, "stopped_at"]).all()


@pytest.mark.parametrize("name", NAMES)
def test_fewer_steps_to_easier_targets_and_a_critical_batch_size(name):
    at = landscape(name)
    easier = RecordedLandscape(pd.read_parquet(RECORDINGS / f"{name}.parquet"), easier=2)
    assert easier.target > at.target
    assert (fewest_steps(easier) < fewest_steps(at)).all()
    sizes = np.array(at.batch_sizes)
    assert sizes[0] < true_b_crit(at) < sizes[-1]
    assert (np.diff(fewest_steps(at)) < 0.2 * fewest_steps(at)[:-1]).all()


@pytest.mark.parametrize("name", [OTHERS[0], HELD_OUT[1]])
def test_a_study_takes_the_path_of_a_sweep(name):
    at = landscape(name)
    study = Setting("shared", 24, 8, prune=True).study(at, 1, seeds=2)
    results = run_study(study, at)
    again = run_study(study, at)
    assert tuple(results) == at.batch_sizes
    for (size, runs), fewest in zip(results.items(), fewest_steps(at), strict=True):
        roles = [run.point.role for run in runs]
        assert (roles.count("search"), roles.count("replicate")) == (24, 2), size
        best = min(run.outcome.steps for run in runs if run.outcome.steps is not None)
        assert 0.3 * fewest < best < 4 * fewest
        assert [run.outcome for run in runs] == [run.outcome for run in again[size]]
    ended = {run.outcome.status for runs in results.values() for run in runs}
    assert {"reached", "pruned", "diverged"} <= ended


def test_the_median_run_takes_the_steps_of_the_surface():
    at = landscape(OTHERS[0])
    size = at.batch_sizes[2]
    study = made_study(at, "halton", 8, seeds=200)
    results = run_study(study.model_copy(update={"batch_sizes": (size,)}), at)[size]
    again = [run for run in results if run.point.role == "replicate"]
    steps = [run.outcome.steps or np.inf for run in again]
    values = again[0].point.values
    place = [Range(**entry).position(values[name]) for name, entry in at.space.items()]
    assert np.median(steps) == pytest.approx(at.steps(size, np.array([place]))[0], rel=0.1, abs=1)


def test_a_recorded_quadratic_has_its_fewest_steps():
    at = recorded(SGD, 128)
    share = fewest_steps(at) / fewest_steps(SGD)
    print(share)
    assert np.median(np.abs(share - 1)) < 0.08
    assert true_b_crit(at) == pytest.approx(true_b_crit(SGD), rel=0.2)


@pytest.mark.slow
@pytest.mark.long
def test_a_recording_smooths_a_narrow_valley():
    at = recorded(HEAVY_BALL, 128)
    share = fewest_steps(at) / fewest_steps(HEAVY_BALL)
    print(share, true_b_crit(at) / true_b_crit(HEAVY_BALL))
    assert np.median(share) < 1.5
    assert true_b_crit(at) == pytest.approx(true_b_crit(HEAVY_BALL), rel=0.4)


def test_a_whole_study_is_judged_against_the_surface():
    found = judged(landscape(OTHERS[0]), Setting("halton", 24, 24), 0)
    value, low, high, fit, cost, steps, most = found
    assert low < value < high
    assert fit == value  # the truth of a recording is that of a fit
    assert cost > 6 * 24
    assert 0 <= steps <= most
