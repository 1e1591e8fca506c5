import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.search_quality.edges import EdgeVerdict, RangeEnd, box_verdict, edge_verdicts

NATURAL = [("momentum", "low")]
SEEDS = 100


@pytest.fixture
def judge(race, points, values, box):
    """Verdicts on a search of log steps curvature x distance^2, stretched in a random direction."""

    def run(seed, trials, optimum, curvature, stretch=1.0, broke=None, natural=()):
        rng = np.random.default_rng([seed, 2])
        places = points(trials, 2, seed)
        angle = rng.uniform(0, np.pi)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        away = (places - optimum) @ turn.T * [1, 1 / stretch]
        log_steps = curvature * (away**2).sum(1) + 0.1 * rng.standard_normal(trials)
        broken = np.zeros(trials, bool) if broke is None else broke(places)
        steps, errors = race(log_steps, broken)
        return edge_verdicts(values(places), box, steps, broken, errors, natural)

    return run


def of(sides, name, end):
    (side,) = [side for side in sides if (side.hyperparameter, side.end) == (name, end)]
    return side.verdict


@pytest.mark.parametrize("trials", [32, 48, 64, 96])
@pytest.mark.parametrize("curvature", [2, 8, 20])
def test_error_rates(judge, trials, curvature):
    middle = [box_verdict(judge(seed, trials, (0.5, 0.5), curvature)) for seed in range(SEEDS)]
    assert np.mean([found is EdgeVerdict.EDGE for found in middle]) < 0.05
    for optimum, name, end in (((1.0, 0.5), "lr", "high"), ((0.5, -0.2), "momentum", "low")):
        found = [of(judge(seed, trials, optimum, curvature), name, end) for seed in range(SEEDS)]
        assert np.mean([verdict is EdgeVerdict.EDGE for verdict in found]) > 0.9


@pytest.mark.parametrize("trials", [32, 64])
def test_error_rates_where_one_direction_matters_three_times_as_much(judge, trials):
    middle = [box_verdict(judge(seed, trials, (0.5, 0.5), 8, 3)) for seed in range(SEEDS)]
    assert np.mean([found is EdgeVerdict.EDGE for found in middle]) < 0.05
    beyond = [of(judge(seed, trials, (1.2, 0.5), 8, 3), "lr", "high") for seed in range(SEEDS)]
    assert np.mean([verdict is EdgeVerdict.EDGE for verdict in beyond]) > 0.8


def test_a_hyperparameter_that_does_not_matter_is_seldom_an_edge(box, points, values, race):
    found = []
    for seed in range(SEEDS):
        places = points(64, 2, seed)
        steps, errors = race(8 * (places[:, 0] - 0.5) ** 2)
        sides = edge_verdicts(values(places), box, steps, np.zeros(64, bool), errors)
        found.append(EdgeVerdict.EDGE in {of(sides, "momentum", end) for end in ("low", "high")})
    assert np.mean(found) < 0.06


@pytest.mark.parametrize("trials", [64, 96])
def test_a_wall_is_not_an_edge(judge, trials):
    # steps fall towards larger lr until, from two thirds of the range on, training diverges
    found = [
        of(
            judge(seed, trials, (1.2, 0.5), 8, broke=lambda places: places[:, 0] > 0.67),
            "lr",
            "high",
        )
        for seed in range(SEEDS)
    ]
    assert np.mean([verdict is EdgeVerdict.WALL for verdict in found]) > 0.9
    assert EdgeVerdict.EDGE not in found


@pytest.mark.parametrize("trials", [64, 96])
def test_a_wall_along_the_effective_learning_rate(judge, trials):
    # log lr / (1 - momentum) is 4 x the first position + 3 x the second, 0 to 7 decades
    found = [
        judge(seed, trials, (0.9, 0.8), 8, broke=lambda at: at @ [4, 3] > 4.2)
        for seed in range(SEEDS)
    ]
    walls = [of(sides, "effective_lr", "high") is EdgeVerdict.WALL for sides in found]
    assert np.mean(walls) > 0.9
    assert np.mean([box_verdict(sides) is EdgeVerdict.WALL for sides in found]) > 0.8


def test_divergence_far_from_the_best_is_not_a_wall(judge):
    found = [
        box_verdict(judge(seed, 64, (0.35, 0.5), 8, broke=lambda places: places[:, 0] > 0.8))
        for seed in range(SEEDS)
    ]
    assert np.mean([verdict is EdgeVerdict.INTERIOR for verdict in found]) > 0.9


def test_the_end_of_a_domain_is_not_an_edge(judge):
    free = judge(3, 64, (0.5, -0.1), 8)
    bound = judge(3, 64, (0.5, -0.1), 8, natural=NATURAL)
    assert of(free, "momentum", "low") is EdgeVerdict.EDGE
    assert of(bound, "momentum", "low") is EdgeVerdict.INTERIOR


def test_without_errors_too_few_hits_are_unknown(box, points, values):
    places = points(32, 2, 0)
    steps = np.full(32, np.nan)
    steps[:2] = 100
    few = edge_verdicts(values(places), box, steps, np.zeros(32, bool))
    assert {side.verdict for side in few} == {EdgeVerdict.UNKNOWN}
    assert box_verdict(few) is EdgeVerdict.UNKNOWN
    steps[2] = 100
    assert box_verdict(edge_verdicts(values(places), box, steps, np.zeros(32, bool))) is not (
        EdgeVerdict.UNKNOWN
    )


def test_diverged_trials_have_no_rank(box, points, values):
    places = points(32, 2, 0)
    sides = edge_verdicts(values(places), box, np.full(32, np.nan), np.ones(32, bool), np.ones(32))
    assert box_verdict(sides) is EdgeVerdict.UNKNOWN


def test_range_ends_follow_the_order_of_the_box(box, judge):
    sides = judge(0, 32, (0.5, 0.5), 8)
    assert [(side.hyperparameter, side.end) for side in sides] == [
        ("lr", "low"),
        ("lr", "high"),
        ("momentum", "low"),
        ("momentum", "high"),
        ("effective_lr", "high"),
    ]


def test_edge_before_wall_before_interior():
    order = [EdgeVerdict.EDGE, EdgeVerdict.WALL, EdgeVerdict.INTERIOR]
    sides = [RangeEnd(hyperparameter="lr", end="high", verdict=verdict) for verdict in order]
    assert [box_verdict(sides[k:]) for k in range(4)] == [*order, EdgeVerdict.INTERIOR]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), factor=st.floats(0.1, 10))
def test_order_of_trials_and_unit_of_steps_change_nothing(seed, factor, box, points, values, race):
    rng = np.random.default_rng(seed)
    places = points(48, 2, seed)
    broke = places[:, 0] > 0.8
    steps, errors = race(4 * ((places - rng.random(2)) ** 2).sum(1), broke)
    hyper = values(places)
    sides = edge_verdicts(hyper, box, steps, broke, errors)
    order = rng.permutation(48)
    mixed = {name: column[order] for name, column in hyper.items()}
    again = edge_verdicts(mixed, box, factor * steps[order], broke[order], errors[order])
    assert again == sides


@pytest.mark.slow
def test_large_batches_of_the_noisy_quadratic_meet_a_wall_small_ones_do_not(
    heavy_ball, values, points
):
    box = {
        "lr": {"low": 1e-4, "high": 10.0, "scale": "log"},
        "momentum": {"low": 0.0, "high": 0.999, "scale": "reverse-log"},
    }
    found = {}
    for batch_size, most in ((65536, 300), (64, 1500)):
        for seed in range(6):
            hyper = values(points(100, 2, seed), box)
            steps, errors, broke = heavy_ball(hyper["lr"], hyper["momentum"], batch_size, most)
            sides = edge_verdicts(hyper, box, steps, broke, errors, NATURAL)
            found.setdefault(batch_size, []).append((box_verdict(sides), of(sides, "lr", "high")))
    assert found[65536] == [(EdgeVerdict.WALL, EdgeVerdict.WALL)] * 6
    assert found[64] == [(EdgeVerdict.INTERIOR, EdgeVerdict.INTERIOR)] * 6
