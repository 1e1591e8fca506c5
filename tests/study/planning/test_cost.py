"""Estimates follow from probes by arithmetic; a probe times real training."""

import pytest

from study.engine.stopping_rules import StoppingRules, measured_steps
from study.planning.cost import Probe, duration, estimates, plan_table, probe


def seen(batch_size, reached, step=0.01, evaluation=0.1):
    return Probe(
        batch_size=batch_size,
        step_seconds=step,
        evaluation_seconds=evaluation,
        reached=reached,
        memory=10**8,
    )


def test_steps_are_measured_carried_over_or_the_budget(make_study):
    study = make_study(batch_sizes=[2, 4, 8, 16, 32, 64])
    probes = [seen(size, {8: 40, 16: 30}.get(size)) for size in study.batch_sizes]
    # half the batch takes at most twice the steps, twice the batch at most as many; budget 200
    assert [row.steps_to_target for row in estimates(study, probes)] == [160, 80, 40, 30, 30, 30]
    unknown = [seen(size, None) for size in study.batch_sizes]
    assert {row.steps_to_target for row in estimates(study, unknown)} == {200}


def test_the_time_is_that_of_steps_and_measurements(make_study):
    study = make_study(batch_sizes=[4], search={"trials": 12}, race={"slack": 1.5})
    (row,) = estimates(study, [seen(4, 20)])
    grid = list(measured_steps(StoppingRules.for_search(study, 4, None)))
    measured = 1 + sum(step <= 30 for step in grid)
    assert row.seconds == pytest.approx(3 * (30 * 0.01 + measured * 0.1))
    assert row.seconds_at_most == pytest.approx(3 * (200 * 0.01 + (1 + len(grid)) * 0.1))
    assert row.disk > 12 * measured * 5


def test_pruned_races_are_expected_to_take_less(make_study):
    changes = {"batch_sizes": [4], "search": {"trials": 12}}
    whole, pruned = (
        estimates(make_study(race={"slack": 1.5} | race, **changes), [seen(4, 40)])[0]
        for race in ({}, {"prune": [0.25, 0.5]})
    )
    # all for a quarter of the fewest steps, half for a quarter, a quarter to the end
    assert pruned.seconds / whole.seconds == pytest.approx((0.25 + 0.125 + 0.25) / 1.5)
    assert pruned.seconds_at_most == whole.seconds_at_most
    (unknown,) = estimates(make_study(race={"prune": [0.25]}, **changes), [seen(4, None)])
    assert unknown.seconds == unknown.seconds_at_most


def test_a_quarter_of_a_shared_search_is_not_pruned(make_study):
    whole, pruned = (
        estimates(
            make_study(
                batch_sizes=[4],
                search={"sampler": "shared", "trials": 64},
                race={"slack": 1.5} | race,
            ),
            [seen(4, 40)],
        )[0]
        for race in ({}, {"prune": [0.25, 0.5]})
    )
    left = (0.25 + 0.125 + 0.25) / 1.5
    assert pruned.seconds / whole.seconds == pytest.approx(0.75 * left + 0.25)


@pytest.mark.parametrize("lanes", ["packed", "looped"])
def test_a_probe_trains_until_the_target_or_its_time(make_study, training, lanes):
    study = make_study(compute={"mode": lanes}, race={"max_steps": 10_000})
    found = probe(study, training(), 16, seconds=20)
    assert found.reached is not None
    assert 0 < found.step_seconds < 1
    assert 0 < found.evaluation_seconds < 1
    assert found.memory > 10**7
    hopeless = make_study(compute={"mode": lanes}, race={"target": 1e-9, "max_steps": 10_000})
    assert probe(hopeless, training(), 16, seconds=0.05).reached is None


def test_the_table_has_a_row_for_each_batch_size(make_study):
    study = make_study(batch_sizes=[4, 16])
    table = plan_table(estimates(study, [seen(4, None), seen(16, 7)]))
    assert list(table.columns[0].cells) == ["4", "16"]
    assert list(table.columns[2].cells) == ["~28", "7"]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "< 1 s"), (5, "5 s"), (300, "5.0 min"), (9000, "2.5 h")]
)
def test_a_duration_in_words(seconds, words):
    assert duration(seconds) == words
