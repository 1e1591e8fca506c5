import numpy as np
import pytest

from analysis.measures.replicates import fitted_points, with_replicates
from analysis.measures.targets import search_trials, steps_to_target
from tests.landscapes import quadratic
from tests.landscapes.quadratic import (
    HELD_OUT,
    TUNED_ON,
    Landscape,
    fewest_steps,
    searched_steps,
)
from tests.landscapes.studies import SEEDS, SLACK, simulated_study

SMALL = Landscape("heavy-ball", 1.0, 1.0, 0.05, dimension=10)
# found by dense search of the same model at batch sizes 4, 16, 64, ... (test_quadratic, end_to_end)
KNOWN = {4: 6818, 16: 1707, 64: 426, 256: 108, 1024: 31, 4096: 18, 16384: 15}


def test_exact_steps_equal_those_counted_step_by_step(heavy_ball_steps):
    places = np.random.default_rng(0).random((200, 2))
    found = quadratic.steps_to_target(TUNED_ON[0], 1024, places, np.zeros(200, int))
    values = TUNED_ON[0].hyperparameters(places)
    for place in np.flatnonzero(np.isfinite(found))[:5]:
        stepped = heavy_ball_steps(values["lr"][place], values["momentum"][place], 1024)
        assert found[place] == pytest.approx(stepped, abs=1, rel=0.02)


@pytest.mark.long
def test_the_fewest_steps_equal_known_ones():
    for steps, known in zip(fewest_steps(TUNED_ON[0]), KNOWN.values(), strict=False):
        assert steps == pytest.approx(known, rel=0.01, abs=1)


def test_no_point_takes_fewer_than_the_fewest_steps():
    found, least = searched_steps(SMALL), fewest_steps(SMALL)
    assert (found.min(axis=-1) >= least[:, None] * (1 - 1e-3)).all()
    assert np.isfinite(found).any(axis=-1).all()


def test_a_study_is_a_race_with_replicates():
    study = simulated_study(SMALL, 3)
    trials = search_trials(study)
    for _, group in trials.groupby("batch_size"):
        best = group["steps"].min()
        assert group["steps"].max() <= SLACK * best
        assert group.loc[group["status"] == "capped", "stopped_at"].min() >= SLACK * best
    table = with_replicates(steps_to_target(study), study)
    assert (table["seeds"] == SEEDS).all()
    assert fitted_points(table).observed == len(table)


def test_a_study_follows_from_its_number():
    first, again, other = (simulated_study(SMALL, number) for number in (1, 1, 2))
    assert first.trials.equals(again.trials)
    assert not first.trials.equals(other.trials)


def test_held_out_spectra_are_different_from_the_others():
    assert not set(HELD_OUT) & set(TUNED_ON)
