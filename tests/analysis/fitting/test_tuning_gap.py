import numpy as np
import pytest

from analysis.fitting.tuning_gap import GAPS, NEAR, SearchedSteps, _log_rate, tuning_gap


def gap_of(log_steps, searched=2, trials=64, shift=0.0, bound=None):
    """Return the gap of exact trials: those up to `NEAR` times the fewest steps reached."""
    kept = np.sort(log_steps)
    bound = kept[0] + np.log(NEAR) if bound is None else bound
    kept = kept[kept <= bound]
    ends = np.where(np.arange(trials) < kept.size, np.inf, bound)
    seen = SearchedSteps(reached=kept, deviations=np.zeros(kept.size), ends=ends)
    return tuning_gap(seen, searched, best=float(kept[0]) - shift)


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
    tight, loose = (gap_of(np.array([0.0, 0.1, 0.2]), bound=bound) for bound in (0.2, 0.4))
    # nothing more up to a later cap: the tail is thinner, so the best lies further below
    assert loose.excess(0.5) > tight.excess(0.5)


def test_a_better_point_from_elsewhere_bounds_the_best_there_is():
    log_steps = np.linspace(0, 0.3, 6)
    with_it, without = gap_of(log_steps, shift=0.1), gap_of(log_steps)
    below, below_without = np.log1p([with_it.excess(0.5), without.excess(0.5)])
    assert below_without < 0.1 + below < 0.1 + 2 * below_without


@pytest.mark.parametrize("log_steps", [[2.0], [2.0, 2.0, 2.0], [0.0, 5.0]], ids=str)
def test_few_and_equal_trials_give_finite_gaps(log_steps):
    found = gap_of(np.array(log_steps), 1, len(log_steps), bound=log_steps[-1])
    assert np.isfinite(found.weights).all()
    assert found.weights.sum() == pytest.approx(1)
    assert 0 < found.excess(0.5) < found.excess(0.95) < np.inf


def noisy_gap(rng, noise, known=True, trials=64):
    """Return the probability below the true gap of the fastest trial, and the gap.

    Log steps over seeds are normal about t, with P(t < x) = 0.1 x; five fresh seeds are fitted.
    """
    exact = simulated(rng, 1.0, 0.1, trials)
    log_steps = exact + noise * rng.standard_normal(trials)
    best, cap = log_steps.argmin(), log_steps.min() + np.log(NEAR)
    fitted = exact[best] + noise / np.sqrt(5) * rng.standard_normal()
    reached = log_steps <= cap
    steps, deviations = log_steps.copy(), np.full(trials, noise if known else 0.0)
    if known:
        steps[best], deviations[best] = fitted, 0.0
    seen = SearchedSteps(
        reached=steps[reached],
        deviations=deviations[reached],
        ends=np.where(reached, np.inf, cap),
        noise=noise if known else 0.0,
    )
    found = tuning_gap(seen, 2, best=fitted if known else float(log_steps[best]))
    return np.interp(exact[best], GAPS, np.cumsum(found.weights)), found


@pytest.mark.parametrize("noise", [0.05, 0.15, 0.3])
def test_the_gap_between_medians_is_found_whatever_the_noise_of_seeds(noise):
    rng = np.random.default_rng(5)
    below = np.array([noisy_gap(rng, noise)[0] for _ in range(200)])
    assert 0.4 < (below < 0.5).mean() < 0.8
    assert (below < 0.95).mean() > 0.9


def test_a_lucky_trial_is_no_sign_of_a_best_far_below():
    # one trial took half the steps that its point needs, and hid all others but one
    others = np.r_[np.full(1, np.inf), np.full(30, np.log(0.75))]
    lucky = {"reached": np.log([0.5, 0.74]), "ends": np.r_[np.inf, others]}
    exact = SearchedSteps(deviations=np.zeros(2), **lucky)
    lucky["reached"] = np.log([1.0, 0.74])
    known = SearchedSteps(deviations=np.array([0.0, 0.3]), noise=0.3, **lucky)
    alone, among = tuning_gap(exact, 2, best=np.log(0.5)), tuning_gap(known, 2, best=0.0)
    assert np.log1p(among.excess(0.75)) < 0.7 * np.log1p(alone.excess(0.75))


def test_little_noise_changes_little():
    exact = np.linspace(0.0, 0.3, 8)
    seen = {"reached": exact, "ends": np.r_[np.full(8, np.inf), np.full(40, np.log(NEAR))]}
    none = tuning_gap(SearchedSteps(deviations=np.zeros(8), **seen), 2, best=0.0)
    deviations = np.r_[0.0, np.full(7, 0.01)]
    little = tuning_gap(SearchedSteps(deviations=deviations, noise=0.01, **seen), 2, best=0.0)
    assert little.weights == pytest.approx(none.weights, abs=2e-3)


@pytest.mark.parametrize("index", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("above", [-0.3, 0.05, 1.0, 8.0])
def test_the_blurred_rate_is_the_integral(index, above):
    noise = 0.2
    t = np.linspace(0.0, 12.0, 200_001)[1:] ** 2  # close together where the rate has its pole
    density = np.exp(-(((above - t) / noise) ** 2) / 2) / (noise * np.sqrt(2 * np.pi))
    rate = np.trapezoid(index * t ** (index - 1) * density, t)
    assert _log_rate(index, np.array(above), noise) == pytest.approx(np.log(rate), abs=0.01)
