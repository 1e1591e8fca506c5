"""Plans of changing batches, against taking the steps one by one."""

from hypothesis import given
from hypothesis import strategies as st

from analysis.measures.batch_plan import BatchPlan, is_planned

MULTIPLES = [(0.0, 0.25), (0.1, 0.5), (0.3, 1.0)]
SHARES = st.lists(st.floats(0.01, 0.99), max_size=4, unique=True).map(sorted)


@given(SHARES, st.lists(st.floats(0.01, 8), min_size=5), st.integers(1, 50), st.integers(1, 3000))
def test_a_plan_agrees_with_single_steps(shares, factors, batch_size, examples):
    multiples = list(zip([0.0, *shares], factors, strict=False))
    plan = BatchPlan.from_multiples(multiples, batch_size, examples)
    used = step = 0
    while used < examples:
        multiple = [factor for share, factor in multiples if used >= share * examples][-1]
        assert plan.size_at(step) == max(1, round(batch_size * multiple))
        assert plan.examples(step) == used
        assert plan.steps(used) == step
        used, step = used + plan.size_at(step), step + 1
        assert plan.steps(used - 1) == step - 1


def test_a_batch_warm_up():
    plan = BatchPlan.from_multiples(MULTIPLES, 64, 6400)
    assert plan.stages == ((0, 16), (40, 32), (80, 64))
    assert (plan.examples(40), plan.examples(80), plan.steps(6400)) == (640, 1920, 150)
    assert plan.examples(80.5) == 1952  # a median between two steps


def test_a_study_without_a_schedule_has_one_batch_size():
    config = {"federated": {"local_steps": 3}}
    assert BatchPlan.of(config, 8).stages == ((0, 24),)
    assert BatchPlan.of({"batch_plans": {"8": [[0, 4], [5, 8]]}}, 8).stages == ((0, 4), (5, 8))
    assert not is_planned(config)
