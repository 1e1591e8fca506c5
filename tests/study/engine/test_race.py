import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.engine.outcomes import judge
from study.engine.race import Race
from study.engine.stopping_rules import StoppingRules, measured_steps
from study.records import Status


def rules(**changes):
    given_rules = {"target": 0.1, "max_steps": 1000, "slack": 1.5, "resolution": 0.03}
    return StoppingRules(**given_rules | changes)


def falling(steps):
    """Return an error that falls below 0.1 at `steps`."""
    return lambda step: 0.1 + (steps - 0.5 - step) / steps


def race(lanes, count, given_rules):
    made = Race(count, given_rules)
    while not made.over:
        made.lap(lanes)
    return made.runs()


def judged(lanes, count, given_rules):
    runs = race(lanes, count, given_rules)
    best = None
    for run in runs:
        _, outcome = judge(run, given_rules)
        if outcome.steps is not None:
            best = min(outcome.steps, best or outcome.steps)
    if best is not None:
        given_rules = given_rules.after_reaching(best)
    return [judge(run, given_rules) for run in runs]


@given(st.floats(0.005, 0.5), st.integers(1, 5000))
def test_the_grid_has_every_step_at_first_and_then_the_given_resolution(resolution, max_steps):
    steps = list(measured_steps(rules(resolution=resolution, max_steps=max_steps)))
    assert steps[0] == 1
    assert steps[-1] == max_steps
    for before, step in zip(steps, steps[1:], strict=False):
        assert before < step
        assert step - before == 1 or step <= before * (1 + resolution)


@pytest.mark.parametrize("steps", [1, 5, 33, 34, 100, 700])
def test_the_two_measurements_bracket_the_crossing(scripted, steps):
    ((_, outcome),) = judged(scripted([falling(steps)]), 1, rules())
    assert outcome.status is Status.REACHED
    assert outcome.steps_before < steps <= outcome.steps <= max(steps, math.ceil(steps * 1.03))


def test_the_target_is_strict(scripted):
    ((_, outcome),) = judged(scripted([lambda step: 0.1]), 1, rules(max_steps=20))
    assert outcome.status is not Status.REACHED


def test_the_other_lanes_run_to_slack_times_the_fewest_steps(scripted):
    lanes = scripted([falling(100), falling(140), falling(500)])
    (_, first), (_, second), (_, third) = judged(lanes, 3, rules())
    assert (first.status, second.status) == (Status.REACHED, Status.REACHED)
    assert third.status is Status.CAPPED
    assert 1.5 * first.steps <= third.stopped_at <= 1.5 * first.steps * 1.03 + 1
    assert lanes.step == third.stopped_at


def test_a_cap_from_other_cohorts_applies_from_the_start(scripted):
    lanes = scripted([falling(500)])
    ((_, outcome),) = judged(lanes, 1, rules(best_steps=20))
    assert outcome.status is Status.CAPPED
    assert outcome.stopped_at == 30


def test_a_lane_at_the_budget_is_exhausted(scripted):
    ((_, outcome),) = judged(scripted([falling(500)]), 1, rules(max_steps=50))
    assert outcome.status is Status.EXHAUSTED
    assert outcome.stopped_at == 50
    assert outcome.best_error == pytest.approx(falling(500)(50))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("diverges_at", [0, 1, 40])
def test_a_measurement_that_is_not_finite_ends_only_its_own_lane(scripted, bad, diverges_at):
    def diverging(step):
        return bad if step >= diverges_at else 0.9

    lanes = scripted([diverging, falling(60)])
    (run, lost), (_, kept) = judged(lanes, 2, rules())
    assert lost.status is Status.DIVERGED
    assert diverges_at <= lost.stopped_at <= diverges_at + 2
    assert np.isfinite(run.curve.val_error).all()
    assert kept.status is Status.REACHED


def test_an_error_above_its_initial_value_is_diverged(scripted):
    ((_, outcome),) = judged(scripted([lambda step: 0.9 + step / 1000]), 1, rules(max_steps=30))
    assert outcome.status is Status.DIVERGED


def test_lanes_at_the_target_take_no_more_steps(scripted):
    lanes = scripted([falling(10), falling(14)])
    judged(lanes, 2, rules())
    assert lanes.lane_steps == 10 + 14


@pytest.mark.parametrize("slack", [1.0, 1.5, 3.0])
@pytest.mark.parametrize("seed", range(5))
def test_a_cap_changes_no_outcome_up_to_slack_times_the_fewest_steps(scripted, slack, seed):
    steps = np.random.default_rng(seed).integers(5, 400, size=8)
    capped = judged(scripted([falling(s) for s in steps]), 8, rules(slack=slack))
    free = judged(scripted([falling(s) for s in steps]), 8, rules(slack=100.0))
    best = min(outcome.steps for _, outcome in free)
    for (_, ours), (_, theirs) in zip(capped, free, strict=True):
        if theirs.steps <= slack * best:
            assert ours.steps == theirs.steps
        else:
            assert ours.steps is None or ours.steps == theirs.steps


@pytest.mark.parametrize("seed", range(5))
def test_judging_again_with_a_lower_cap_equals_racing_under_it(scripted, seed):
    steps = np.random.default_rng(seed).integers(20, 400, size=5)
    cap = rules(best_steps=40)
    late = [judge(run, cap) for run in race(scripted([falling(s) for s in steps]), 5, rules())]
    early = [judge(run, cap) for run in race(scripted([falling(s) for s in steps]), 5, cap)]
    for (run, outcome), (other_run, other) in zip(late, early, strict=True):
        if outcome.steps is None or outcome.steps >= 40:
            assert outcome == other
            np.testing.assert_array_equal(run.curve.val_error, other_run.curve.val_error)


def test_lanes_that_run_to_the_budget_continue_past_the_target(scripted):
    lanes = scripted([falling(10), falling(500), lambda step: math.nan if step > 20 else 0.9])
    to_budget = rules(max_steps=40, to_budget=True)
    (run, reached), (_, missed), (_, diverged) = judged(lanes, 3, to_budget)
    assert (reached.status, reached.steps, reached.stopped_at) == (Status.REACHED, 10, 40)
    assert run.curve.step[-1] == 40
    assert reached.best_error == run.curve.val_error[-1] < 0.1
    assert (missed.status, missed.stopped_at) == (Status.EXHAUSTED, 40)
    assert diverged.status is Status.DIVERGED


def test_a_lane_that_diverges_after_the_target_has_reached_it(scripted):
    error = lambda step: math.nan if step > 20 else falling(10)(step)  # noqa: E731
    ((run, outcome),) = judged(scripted([error]), 1, rules(max_steps=40, to_budget=True))
    assert (outcome.status, outcome.steps, outcome.stopped_at) == (Status.REACHED, 10, 21)
    assert run.curve.step[-1] == 20


def test_lanes_that_do_not_share_a_cap_do_not_stop_each_other(scripted):
    alone = rules(best_steps=100, slack=4.0, shared=False)
    (_, first), (_, second), (_, third) = judged(
        scripted([falling(10), falling(390), falling(900)]), 3, alone
    )
    assert (first.steps, second.status) == (10, Status.REACHED)
    assert third.status is Status.CAPPED
    assert 400 <= third.stopped_at <= 412


def test_a_race_reports_its_progress_after_each_lap(scripted, monkeypatch):
    told = []
    monkeypatch.setattr(Race, "after_lap", lambda race: told.append((race.step, race.share)))
    race(scripted([lambda step: 0.9 * 0.9**step, lambda step: 2.0]), 2, rules(slack=2.0))
    shares = dict(told)
    assert shares[0] == 0
    # the error falls to 0.1 in 21 steps: half of the way to the cap, which is twice as many
    assert shares[10] == pytest.approx(10 * math.log(0.9) / math.log(0.1 / 0.9) / 2)
    assert shares[21] == 0.5
    assert shares[42] == 1
    assert [share for _, share in told] == sorted(shares.values())


@pytest.mark.parametrize("error", [0.0, 0.05, 3.0, math.nan])
def test_the_share_of_a_race_is_a_share_whatever_the_errors(scripted, error):
    made = Race(1, rules(to_budget=error == 0.05, max_steps=10))
    lanes = scripted([lambda step: error if step else 0.9])
    while not made.over:
        made.lap(lanes)
        assert 0 <= made.share <= 1
    assert made.racing == (not math.isnan(error))
    assert math.isnan(made.least_loss) == math.isnan(error)


def pruned_at(*rungs, **changes):
    return rules(slack=100.0, ends_diverged=True, rungs=rungs, **changes)


def test_a_rung_drops_the_worse_half_of_the_lanes_left(scripted):
    lanes = scripted([falling(steps) for steps in (500, 100, 400, 200, 300, 600, 700, 800)])
    outcomes = [outcome for _, outcome in judged(lanes, 8, pruned_at(25.0, 50.0))]
    reached = [place for place, outcome in enumerate(outcomes) if outcome.steps]
    assert reached == [1, 3]
    pruned = [o.stopped_at if o.status is Status.PRUNED else None for o in outcomes]
    assert pruned == [25, None, 50, None, 50, 25, 25, 25]


def test_lanes_that_are_done_count_among_the_kept_ones(scripted):
    lanes = scripted([falling(20), falling(22), falling(300), falling(400)])
    outcomes = [outcome for _, outcome in judged(lanes, 4, pruned_at(30.0))]
    assert [outcome.status for outcome in outcomes] == [Status.REACHED] * 2 + [Status.PRUNED] * 2
    assert lanes.step == 30


def test_lanes_at_the_target_are_never_pruned(scripted):
    lanes = scripted([falling(30)] * 4)
    outcomes = [outcome for _, outcome in judged(lanes, 4, pruned_at(30.0))]
    assert {outcome.status for outcome in outcomes} == {Status.REACHED}


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_the_best_lane_is_left_at_every_rung(scripted, count):
    lanes = scripted([falling(60 + 10 * lane) for lane in range(count)])
    outcomes = [outcome for _, outcome in judged(lanes, count, pruned_at(10.0, 20.0, 30.0, 40.0))]
    assert [outcome.status is Status.REACHED for outcome in outcomes] == [True] + [False] * (
        count - 1
    )


def test_the_least_error_so_far_decides_and_not_the_last_one(scripted):
    dipped = lambda step: 0.2 if step == 5 else 0.8  # noqa: E731
    lanes = scripted([dipped, lambda step: 0.5])
    (_, kept), (_, dropped) = judged(lanes, 2, pruned_at(20.0, max_steps=40))
    assert (kept.status, dropped.status) == (Status.EXHAUSTED, Status.PRUNED)


def test_a_lane_that_has_plainly_diverged_ends_at_once_where_lanes_are_pruned(scripted):
    explode = lambda step: 0.9 if step < 30 else 20.0  # noqa: E731
    (_, ended), (_, other) = judged(scripted([explode, falling(90)]), 2, pruned_at())
    assert (ended.status, ended.stopped_at) == (Status.DIVERGED, 30)
    assert other.status is Status.REACHED
    (_, whole), _ = judged(scripted([explode, falling(90)]), 2, rules(slack=100.0))
    assert (whole.status, whole.stopped_at) == (Status.DIVERGED, 1000)


def test_a_negative_loss_has_not_plainly_diverged(scripted):
    class Negative(scripted):
        def measure(self):
            values = super().measure()[0]
            return values - 5.0, values

    (_, outcome), _ = judged(Negative([falling(90), falling(100)]), 2, pruned_at())
    assert outcome.status is Status.REACHED


def test_a_race_whose_rungs_left_nobody_who_gets_there_is_fruitless(scripted):
    fast_to_a_floor = lambda step: max(0.15, 0.9 - step / 20)  # noqa: E731
    errors = [fast_to_a_floor, falling(60)]
    made, lanes = Race(2, rules(target=0.1).pruned([0.25], 50)), scripted(errors)
    while not made.fruitless:
        made.lap(lanes)
    assert made.step == 101  # the first one measured of at least 100
    made, lanes = Race(2, rules(target=0.1).pruned([0.25], 400)), scripted(errors)
    while not made.over:
        made.lap(lanes)
    assert not made.fruitless


def test_a_race_that_dropped_nobody_is_never_fruitless(scripted):
    made, lanes = Race(1, rules(max_steps=60).pruned([0.25], 20)), scripted([lambda step: 0.2])
    while not made.over:
        made.lap(lanes)
        assert not made.fruitless


def test_a_race_that_ends_above_the_target_at_its_budget_is_fruitless(scripted):
    given_rules = rules(target=0.1, max_steps=60).pruned([0.25], 50)
    made, lanes = Race(2, given_rules), scripted([lambda step: 0.2, falling(90)])
    while not made.over:
        made.lap(lanes)
    assert made.fruitless
    again = Race(2, given_rules)
    again.restore(made.state())
    assert again.fruitless
    again.restore(Race(2, given_rules.without_rungs()).state())
    assert not again.fruitless


def test_a_pruned_lane_judged_by_a_lower_cap_is_capped(scripted):
    lanes = scripted([falling(500), falling(100)])
    run = race(lanes, 2, pruned_at(40.0))[0]
    assert judge(run, rules())[1].status is Status.PRUNED
    (cut, outcome) = judge(run, rules(best_steps=20))
    assert (outcome.status, outcome.stopped_at, cut.curve.step[-1]) == (Status.CAPPED, 30, 30)
    assert judge(run, rules(best_steps=27))[1].status is Status.PRUNED


def test_further_quantities_of_lanes_are_in_their_curves(scripted):
    class Measuring(scripted):
        quantities = ("twice", "hidden")

        def measure(self):
            values = super().measure()[0]
            return values, values, 2 * values, np.full(len(values), np.inf)

    for run in race(Measuring([falling(9), falling(12)]), 2, rules()):
        np.testing.assert_array_equal(run.curve.further["twice"], 2 * run.curve.val_error)
        assert np.isnan(run.curve.further["hidden"]).all()  # what is not finite is not known
