"""Branches from a trial: against the exact recursion, and against training by hand."""

import numpy as np
import pytest
import torch

from analysis.measures.branches import ENOUGH, TOLERANCE
from study.engine.cohort import run_cohort
from study.engine.data_order import DataOrder
from study.engine.networks.training import fresh_model
from study.errors import StudyError
from study.planning.resolve import resolve
from study.records import Cohort, Point
from study.replay.diagnose import diagnose
from study.replay.diagnostics.branch import MIN_STEPS, ORDERS, SHARE, window
from study.seeding import derive_seed

SEED, LR, MOMENTUM = 11, 0.1, 0.5


def branched(study, made, trials):
    """Return the rows of the branches by step and quantity."""
    ((_, rows),) = list(diagnose(study, made, trials, trials[:1], ["branch"]))
    found = {}
    for row in rows:
        found.setdefault(row["step"], {}).setdefault(row["quantity"], []).append(row)
    return found


def trained(study, made, *lrs, **values):
    points = tuple(
        Point(trial=i, seed=SEED + i, values={"lr": lr, **values}) for i, lr in enumerate(lrs)
    )
    return run_cohort(study, made, Cohort(batch_size=study.batch_sizes[0], points=points))


def exact_loss(start, multiple, steps):
    """Return the expected loss of SGD on the noisy quadratic after a run at B = 1 and a branch."""
    h = 1.0 / np.arange(1, 101)
    moment = np.ones(100)
    for taken in range(start + steps):
        k = multiple if taken >= start else 1
        moment = (1 - k * LR * h) ** 2 * moment + (k * LR) ** 2 * h / k
    return 0.5 * float(h @ moment)


def test_local_critical_batch_sizes_of_the_noisy_quadratic_are_exact():
    data = {
        "workload": "noisy-quadratic",
        "workload_options": {"target": 0.3},
        "optimizer": "sgd",
        "batch_sizes": [1],
        "search": {"trials": 1},
    }
    study, made = resolve(data)
    (trial,) = trained(study, made, LR)
    base = window([trial])
    found = branched(study, made, [trial])
    assert len(found) == 5
    for step, rows in found.items():
        multiples = [2**k for k in range(len(rows["branch_loss"]))]
        exact = [exact_loss(step, k, base // k) for k in multiples]
        assert [row["x"] for row in rows["branch_loss"]] == multiples
        assert [row["value"] for row in rows["branch_loss"]] == pytest.approx(exact)
        (critical,) = rows["critical_batch_size"]
        excess = np.array(exact) / exact[0] - 1
        assert excess[-1] > ENOUGH or base // multiples[-1] == MIN_STEPS
        assert max(excess[:-1]) <= ENOUGH  # where it stopped
        assert critical["variant"] == "linear"
        assert critical["low"] is None
        assert critical["high"] is None
        last = int(np.argmax(excess > TOLERANCE)) - 1
        share = (TOLERANCE - excess[last]) / (excess[last + 1] - excess[last])
        assert critical["value"] == pytest.approx(multiples[last] * 2**share)


@pytest.mark.parametrize(
    "compute",
    [
        pytest.param({"mode": "packed"}, marks=pytest.mark.slow),
        {"mode": "looped", "micro_batch": 3},
    ],
)
def test_branches_of_a_network_agree_with_torch(shared_training, make_study, compute):
    made, study = shared_training("plain"), make_study(batch_sizes=[4], compute=compute)
    trials = trained(study, made, 0.02, 1e-4, momentum=MOMENTUM)
    base = window(trials[:1])
    found = branched(study, made, trials)
    assert base == 4 * MIN_STEPS
    step = max(found)
    assert step == trials[0].outcome.steps
    losses = {row["x"]: row for row in found[step]["branch_loss"]}
    for multiple in (1, 2):
        by_hand = []
        for order in range(ORDERS):
            model = fresh_model(made, SEED).train()
            sgd = torch.optim.SGD(model.parameters(), 0.02, momentum=MOMENTUM, nesterov=True)
            first = DataOrder([SEED], 90, 4, torch.device("cpu"))
            then = DataOrder(
                [derive_seed(SEED, "branch", order)], 90, 4 * multiple, torch.device("cpu")
            )
            batches = [first.next()[0] for _ in range(step)]
            batches += [then.next()[0] for _ in range(base // multiple)]
            for taken, batch in enumerate(batches):
                sgd.param_groups[0]["lr"] = 0.02 * (multiple if taken >= step else 1)
                sgd.zero_grad()
                made.workload.loss(model, made.batch(batch)).backward()
                sgd.step()
            with torch.no_grad():
                by_hand.append(made.workload.loss(model.eval(), made.data.validation).item())
        row = losses[4 * multiple]
        assert row["value"] == pytest.approx(np.mean(by_hand), rel=1e-3)
        assert row["low"] < row["value"] < row["high"]
    for rows in found.values():
        (critical,) = rows["critical_batch_size"]
        assert critical["samples"] == ORDERS
        assert rows["excess_loss"][0]["value"] == 0


def test_seeds_branch_to_the_same_batches_for_as_many_examples():
    data = {"workload": "noisy-quadratic", "optimizer": "sgd", "batch_sizes": [1]}
    study, made = resolve(data | {"workload_options": {"target": 0.4}, "search": {"trials": 2}})
    fast, slow = trained(study, made, LR, 0.9 * LR)
    assert window([fast]) < window([slow])
    batches = {}
    for trial, rows in diagnose(study, made, [fast, slow], [slow, fast], ["branch"]):
        assert {row["trial"] for row in rows} == {trial.point.trial}
        assert {row["examples"] for row in rows} == {window([fast])}
        batches[trial.point.trial] = {
            (row["moment"], row["x"]) for row in rows if row["quantity"] == "excess_loss"
        }
    assert batches[0] == batches[1]
    assert max(x for _, x in batches[0]) == window([fast]) // MIN_STEPS


def test_a_run_of_few_steps_has_no_branches(shared_training, make_study):
    study, made = make_study(batch_sizes=[8], race={"target": 0.45}), shared_training("plain")
    trials = trained(study, made, 0.5, momentum=MOMENTUM)
    assert trials[0].outcome.steps < 2 * SHARE * MIN_STEPS
    for rows in branched(study, made, trials).values():
        assert list(rows) == ["critical_batch_size"]
        assert rows["critical_batch_size"][0]["value"] is None


def test_dynamics_without_batch_schedules_are_refused(make_study):
    class Fixed:
        target = None

        def lanes(self, setup):
            raise NotImplementedError

    with pytest.raises(StudyError, match="know batch schedules, got 'blobs'"):
        list(diagnose(make_study(), Fixed(), [], [], ["branch"]))
