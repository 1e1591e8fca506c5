"""Trials trained again and measured: moments, layers against torch's own optimizer, refusals."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from study.engine.cohort import run_cohort
from study.engine.data_order import DataOrder
from study.engine.networks.training import fresh_model
from study.errors import StudyError
from study.records import Curve, Role, ScalingRule, Source, Status
from study.replay.diagnose import (
    _moments,
    best_trials,
    diagnosable,
    diagnose,
    diagnostics_named,
)
from study.replay.diagnostics import landscape
from study.replay.diagnostics.layers import BATCHES
from tests.study.cohorts import cohort_of
from workloads.registry import resolve

SEED, LR, MOMENTUM, SMOOTHING = 101, 0.02, 0.5, 0.2


def trained(study, made, **values):
    """Trains a cohort of three; gives them, the second to be looked into."""
    values = {"momentum": MOMENTUM} | values
    cohort = cohort_of((1e-4, LR, 1e-3), study.batch_sizes[0], seed=SEED - 1, **values)
    return run_cohort(study, made, cohort)


def measured(study, made, trial, recorded, what):
    """Return the rows of one trial by diagnostic."""
    ((_, rows),) = list(diagnose(study, made, recorded, [trial], [what]))
    return rows


def measured_layers(study, made, trial, recorded):
    """Return the layers with a column for each quantity, as (moment, step, layer) -> values."""
    found = {}
    for row in measured(study, made, trial, recorded, "layers"):
        key = row["moment"], row["step"], row["variant"]
        found.setdefault(key, {})[row["quantity"]] = row["value"]
    return found


def by_hand(made, size, steps, loss):
    """Return layer -> (|w|, mean |g|, |G|) after `steps` of torch's own optimizer."""
    model = fresh_model(made, SEED).train()
    sgd = torch.optim.SGD(model.parameters(), LR, momentum=MOMENTUM, nesterov=True)
    order = DataOrder([SEED], 90, size, torch.device("cpu"))

    def gradients(indices):
        sgd.zero_grad()
        loss(model, made.batch(indices)).backward()
        return {name: p.grad.norm().item() for name, p in model.named_parameters()}

    for _ in range(steps):
        gradients(order.next()[0])
        sgd.step()
    drawn = [gradients(order.next()[0]) for _ in range(BATCHES)]
    full = gradients(torch.arange(90))
    return {
        name: (p.detach().norm().item(), sum(d[name] for d in drawn) / BATCHES, full[name])
        for name, p in model.named_parameters()
    }


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("plain", {}),
        ("plain", {"compute": {"micro_batch": 3}}),
        ("smoothed", {}),
        ("batch norm", {"compute": {"mode": "looped"}}),
    ],
)
def test_the_ratios_agree_with_torch(shared_training, make_study, kind, changes):
    made = shared_training(kind)
    space = make_study().as_data()["search"]["space"]
    values = {"label_smoothing": SMOOTHING} if kind == "smoothed" else {}
    study = make_study(batch_sizes=[8], search={"space": space | values}, **changes)
    recorded = trained(study, made, **values)
    trial = recorded[1]
    assert trial.outcome.status is Status.REACHED
    rows = measured_layers(study, made, trial, recorded)
    assert {moment for moment, *_ in rows} == {"start", "between", "end"}
    loss = partial(made.workload.loss, **values)
    for moment, steps in (("start", 0), ("end", trial.outcome.steps)):
        expected = by_hand(made, 8, steps, loss)
        assert [name for at, _, name in rows if at == moment] == list(expected)
        for name, (weight, gradient, full) in expected.items():
            row = rows[moment, steps, name]
            assert row["weight_norm"] == pytest.approx(weight, rel=1e-4)
            assert row["gradient_norm"] == pytest.approx(gradient, rel=1e-3)
            if weight == 0:  # batch norm's bias at the start
                assert "ratio" not in row
                continue
            assert row["ratio"] == pytest.approx(gradient / weight, rel=1e-3)
            if kind != "batch norm":  # whose full gradient is that of batches of its own size
                assert row["full_gradient_norm"] == pytest.approx(full, rel=1e-3)
                assert row["full_ratio"] == pytest.approx(full / weight, rel=1e-3)


def test_a_tensor_that_is_zero_has_no_ratio(training, make_study):
    made, plain = training(), training().workload.model

    def zeroed():
        model = plain()
        torch.nn.init.zeros_(model[2].bias)
        return model

    made.workload.model = zeroed
    study = make_study(batch_sizes=[8])
    recorded = trained(study, made)
    rows = measured_layers(study, made, recorded[1], recorded)
    assert [key for key, row in rows.items() if "ratio" not in row] == [("start", 0, "2.bias")]
    assert all(row["gradient_norm"] > 0 for row in rows.values())


def test_a_model_that_draws_is_measured_the_same_way_twice(shared_training, make_study):
    made, study = (
        shared_training("dropout"),
        make_study(batch_sizes=[8], compute={"mode": "looped"}),
    )
    recorded = trained(study, made)
    before = torch.get_rng_state()
    what = diagnostics_named(None)
    first, second = (list(diagnose(study, made, recorded, [recorded[1]], what)) for _ in range(2))
    assert first == second
    assert {row["what"] for _, rows in first for row in rows} == set(what)
    assert torch.equal(torch.get_rng_state(), before)


def of_steps(measured, end):
    steps = np.array(measured)
    nothing = np.zeros(len(steps))
    curve = Curve(
        step=steps, train_loss=nothing, val_loss=nothing, val_error=nothing, seconds=nothing
    )
    outcome = SimpleNamespace(steps=end)
    return SimpleNamespace(curve=curve, outcome=outcome)


def test_the_moments_between_are_even_in_the_logarithm():
    trial = of_steps([*range(34), *(round(34 * 1.03**n) for n in range(150))], 1000)
    between = dict.fromkeys((6, 32, 178), ["between"])  # 1000^(1/4), 1000^(1/2), 1000^(3/4)
    trial.curve.step[np.searchsorted(trial.curve.step, 1000)] = 1000
    assert _moments(trial, {}) == {0: ["start"], **between, 1000: ["end"]}
    assert _moments(of_steps([0, 1], 1), {}) == {0: ["start"], 1: ["end"]}
    short = {0: ["start"], 1: ["between"], 2: ["end"]}
    assert _moments(of_steps([0, 1, 2, 3], 2), {}) == short


def test_a_budget_is_met_by_the_last_measurement_within_it():
    trial = of_steps([0, 1, 2, 4, 8], 8)
    budgets = {"equal steps": 7, "equal examples": 8, "none": 0}
    assert _moments(trial, budgets)[4] == ["between", "equal steps"]
    assert _moments(trial, budgets)[8] == ["end", "equal examples"]
    assert _moments(trial, budgets)[0] == ["start"]


def test_all_trials_are_measured_at_equal_steps_and_equal_examples(shared_training, make_study):
    study, made = make_study(batch_sizes=[8, 16]), shared_training()
    recorded = [*trained(study, made)]
    larger = make_study(batch_sizes=[16])
    recorded += trained(larger, made)
    trials = best_trials(study, recorded, None)
    found = {}
    for _, rows in diagnose(study, made, recorded, trials, ["gap"]):
        for row in rows:
            found.setdefault(row["moment"], {})[row["batch_size"]] = row["step"]
    steps = [trial.outcome.steps for trial in trials]
    assert found["end"] == dict(zip((8, 16), steps, strict=True))
    assert max(found["equal steps"].values()) <= min(steps)
    examples = {size: size * step for size, step in found["equal examples"].items()}
    assert max(examples.values()) <= min(8 * steps[0], 16 * steps[1])


def test_every_seed_has_a_plane_and_a_line_to_its_partner(shared_training, make_study, monkeypatch):
    monkeypatch.setattr(landscape, "EXTENT", np.array([0.0, 1.0]))
    monkeypatch.setattr(landscape, "BETWEEN", np.array([0.0, 1.0]))
    study, made = make_study(batch_sizes=[8, 16]), shared_training()
    trials = []
    for size in (8, 16):
        (_, best, _) = trained(make_study(batch_sizes=[size]), made)
        points = [replace(best.point, trial=i, role=Role.REPLICATE) for i in range(size // 4)]
        trials += [replace(best, point=point) for point in points]
    found = {}
    for trial, rows in diagnose(study, made, trials, trials, ["landscape"]):
        for row in rows:
            key = trial.batch_size, trial.point.trial
            found.setdefault(row["variant"], {}).setdefault(key, []).append(row["value"])
    everyone = {(trial.batch_size, trial.point.trial) for trial in trials}
    assert set(found["line"]) == set(found["plane"]) == everyone
    assert set(found["to B = 16"]) == {(8, 0), (8, 1)}
    assert {len(values) for values in found["to B = 16"].values()} == {8}


def test_the_best_trials_are_those_that_reached_first(shared_training, make_study):
    study = make_study(batch_sizes=[8, 16])
    recorded = trained(study, shared_training())
    (best,) = best_trials(study, recorded, None)
    assert best.point == recorded[1].point
    assert best_trials(study, recorded, [8, 8]) == [best]
    with pytest.raises(StudyError, match="must be among those that reached the target, 8, got 16"):
        best_trials(study, recorded, [16])
    with pytest.raises(StudyError, match="reached the target, got none"):
        best_trials(study, [recorded[0]], None)


def test_fresh_seeds_are_those_of_the_best_point_that_reached_the_target(
    shared_training, make_study
):
    study = make_study(batch_sizes=[8])
    recorded = trained(study, shared_training())

    def again(trial, of, like):
        source = Source(8, Role.SEARCH, of, ScalingRule.SAME)
        point = replace(like.point, trial=trial, role=Role.REPLICATE, source=source)
        return replace(like, point=point)

    missed, reached = recorded[0], recorded[1]
    assert missed.outcome.steps is None
    seeds = [again(0, 1, reached), again(1, 0, reached), again(2, 1, missed), again(3, 1, reached)]
    known = [*recorded, *seeds]
    assert best_trials(study, known, None, seeds=5) == [seeds[0], seeds[3]]
    assert best_trials(study, known, None, seeds=1) == [seeds[0]]
    assert diagnosable(study, known) == [reached, seeds[0], seeds[3]]
    with pytest.raises(StudyError, match="--seeds needs re-runs .*got none at batch size 8; raise"):
        best_trials(study, recorded, None, seeds=5)


def test_a_trial_that_does_not_reach_again_is_refused(shared_training, make_study):
    study, made = make_study(batch_sizes=[8]), shared_training()
    recorded = trained(study, made)
    steps = recorded[1].outcome.steps
    early = replace(recorded[1], outcome=replace(recorded[1].outcome, steps=steps - 1))
    with pytest.raises(StudyError, match=f"recorded at step {steps - 1}, and now at error"):
        measured(study, made, early, recorded, "gap")


def test_a_workload_without_a_network_is_refused(shared_training, make_study):
    study = make_study(batch_sizes=[8])
    recorded = trained(study, shared_training())
    with pytest.raises(StudyError, match="only a network can be diagnosed"):
        measured(study, resolve("noisy-quadratic"), recorded[1], recorded, "gap")


def test_names_of_diagnostics_are_read_once_each_and_in_order():
    assert diagnostics_named("gap, noise,gap") == ["noise", "gap"]
    assert len(diagnostics_named(None)) == 7
    for text, message in (
        ("noise,curve", "did you mean 'curvature'"),
        (" ,", "must be one of noise"),
    ):
        with pytest.raises(StudyError, match=message):
            diagnostics_named(text)


@pytest.mark.parametrize("mode", ["packed", "looped"])
@pytest.mark.parametrize(
    ("kind", "averaged"), [("plain", True), ("batch norm", True), ("batch norm", False)]
)
def test_what_is_diagnosed_is_what_reached_the_target(
    shared_training, make_study, mode, kind, averaged
):
    decay = {"ema_decay": 0.9} if averaged else {}
    space = make_study().as_data()["search"]["space"] | decay
    race = {"weights": "averaged"} if averaged else {}
    changes = {"race": race, "compute": {"mode": mode}, "search": {"space": space}}
    study, made = make_study(batch_sizes=[8], **changes), shared_training(kind)
    recorded = trained(study, made, **decay)
    trial = recorded[1]
    rows = measured(study, made, trial, recorded, "gap")
    at_end = {row["quantity"]: row["value"] for row in rows if row["moment"] == "end"}
    assert at_end["val_error"] == pytest.approx(trial.outcome.best_error)
    assert at_end["val_loss"] == pytest.approx(trial.curve.val_loss[-1], rel=1e-5)


@pytest.mark.parametrize(
    ("study", "message"),
    [
        ({"batch_schedule": object()}, "got a study with a batch schedule"),
        ({"federated": object()}, "got a federated study"),
    ],
)
def test_studies_without_mini_batches_of_one_model_are_refused(shared_training, study, message):
    refused = SimpleNamespace(**{"batch_schedule": None, "federated": None, **study})
    with pytest.raises(StudyError, match=message):
        next(diagnose(refused, shared_training(), [], [], ["noise"]))


def test_a_program_is_refused():
    program = SimpleNamespace(compute=SimpleNamespace(mode="program"))
    with pytest.raises(StudyError, match="got a study of a program; measure it in the program"):
        best_trials(program, [], None)
