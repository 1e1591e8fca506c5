import numpy as np
import pytest

from analysis.fitting.tuning_gap import GAPS, NEAR, TuningGap, margins, tuning_gap


def gap_of(log_steps, searched=2, trials=64, shift=0.0):
    kept = np.sort(log_steps)
    kept = kept[kept <= kept[0] + np.log(NEAR)]
    best, bound = float(kept[0]) - shift, float(kept[0] + np.log(NEAR))
    return tuning_gap(kept, trials, searched, best=best, bound=bound)


def simulated(rng, index, share, trials=64):
    """Return log steps above a best of 0: P(log steps < t) = share t^index."""
    return (rng.random(trials) / share) ** (1 / index)


@pytest.mark.parametrize(
    ("searched", "index", "share"), [(1, 0.6, 0.1), (2, 1.0, 0.1), (2, 1.3, 0.03)]
)
def test_the_gap_of_known_tails_is_found(searched, index, share):
    # the index is not known: at 1, that of a smooth optimum in two dimensions, gaps are too large
    rng = np.random.default_rng(4)
    below = []
    for _ in range(400):
        log_steps = simulated(rng, index, share)
        gap = gap_of(log_steps, searched)
        below.append(np.interp(log_steps.min(), GAPS, np.cumsum(gap.weights)))
    below = np.array(below)
    assert (below < 0.95).mean() > 0.9
    assert 0.4 < (below < 0.5).mean() < 0.8


def test_more_trials_near_the_best_make_a_smaller_gap():
    gaps = [gap_of(np.linspace(0, 0.4, count)).excess(0.5) for count in (1, 2, 5, 20)]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 0.05 < 0.5 < gaps[0]


def test_misses_are_above_the_cap():
    log_steps = np.array([0.0, 0.1, 0.2])
    tight = tuning_gap(log_steps, 64, 2, best=0.0, bound=0.2)
    loose = tuning_gap(log_steps, 64, 2, best=0.0, bound=0.4)
    # nothing more up to a later cap: the tail is thinner, so the best lies further below
    assert loose.excess(0.5) > tight.excess(0.5)


def test_a_better_point_from_elsewhere_bounds_the_best_there_is():
    log_steps = np.linspace(0, 0.3, 6)
    with_it, without = gap_of(log_steps, shift=0.1), gap_of(log_steps)
    below, below_without = np.log1p([with_it.excess(0.5), without.excess(0.5)])
    assert below_without < 0.1 + below < 0.1 + 2 * below_without


@pytest.mark.parametrize("log_steps", [[2.0], [2.0, 2.0, 2.0], [0.0, 5.0]], ids=str)
def test_few_and_equal_trials_give_finite_gaps(log_steps):
    steps = np.array(log_steps)
    found = tuning_gap(steps, len(steps), 1, best=steps[0], bound=steps[-1])
    assert np.isfinite(found.weights).all()
    assert found.weights.sum() == pytest.approx(1)
    assert 0 < found.excess(0.5) < found.excess(0.95) < np.inf


def test_a_margin_of_common_gaps_is_not_moved_by_one_that_is_hardly_known():
    narrow, wide = (TuningGap(weights=np.eye(len(GAPS))[place], common=True) for place in (40, 95))
    gaps = {2.0: narrow, 4.0: wide, 8.0: narrow, 32.0: narrow, 64.0: narrow, 128.0: wide}
    down, up = margins(gaps, 16.0)
    assert down == pytest.approx(1 + narrow.excess(0.75))
    assert up == down
