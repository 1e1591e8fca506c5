"""The noisy quadratic against closed forms, simulation, and the published steps to target."""

import numpy as np
import pytest
import torch

from workloads.builtin.quadratic import NoisyQuadratic
from workloads.errors import WorkloadError
from workloads.workload import LaneSetup, tail_rate

# steps to an expected loss below 0.01, d = 100, fixed learning rate tuned densely
PUBLISHED_SGD = {
    1: 32108, 4: 8050, 16: 2037, 64: 536, 256: 169, 1024: 94, 4096: 77, 16384: 72, 65536: 70
}  # fmt: skip
FORMS = {
    "sgd": {},
    "heavy-ball": {"momentum": 0.8},
    "nesterov": {"momentum": 0.8, "nesterov": True},
}


def lanes_of(model, optimizer, batch_size, lr, momentum=0.8, lr_factor=None):
    lr = np.atleast_1d(np.asarray(lr, dtype=np.float64))
    values = {"lr": lr}
    if optimizer != "sgd":
        values["momentum"] = np.full_like(lr, momentum)
    return model.lanes(
        LaneSetup(
            optimizer=optimizer,
            batch_size=batch_size,
            hyperparameters=values,
            lr_factor=lr_factor,
            seeds=np.zeros(len(lr), dtype=np.int64),
        )
    )


@pytest.mark.parametrize(("dimension", "start"), [(100, 2.594), (10_000, 4.894)])
def test_the_initial_loss_is_half_the_trace(dimension, start):
    lanes = lanes_of(NoisyQuadratic(dimension), "sgd", 1, 0.1)
    assert lanes.measure()[0][0] == pytest.approx(start, abs=5e-4)


def test_sgd_follows_its_closed_form():
    model, lr, batch, steps = NoisyQuadratic(7, a=1.5, b=0.5), 0.3, 4, 23
    decay = (1 - lr * model.curvature) ** 2
    steady = lr**2 * model.noise / batch / (1 - decay)
    moments = steady + decay**steps * (1 - steady)
    lanes = lanes_of(model, "sgd", batch, lr)
    assert lanes.advance(steps)[0] == pytest.approx(0.5 * (model.curvature * moments).sum())


@pytest.mark.parametrize("optimizer", FORMS)
def test_the_recursion_is_the_mean_of_torchs_own_runs(optimizer):
    model, lr, batch, steps, runs = NoisyQuadratic(5), 0.2, 8, 15, 20_000
    generator = torch.Generator().manual_seed(0)
    h = torch.tensor(model.curvature)
    spread = torch.tensor(model.noise / batch).sqrt()
    theta = torch.randn(runs, 5, generator=generator, dtype=torch.float64).requires_grad_()
    rule = torch.optim.SGD([theta], lr=lr, **FORMS[optimizer])
    for _ in range(steps):
        noise = torch.randn(runs, 5, generator=generator, dtype=torch.float64) * spread
        theta.grad = theta.detach() * h + noise
        rule.step()
    losses = 0.5 * (theta.detach() ** 2 * h).sum(dim=1)
    error = float(losses.std()) / runs**0.5
    expected = lanes_of(model, optimizer, batch, lr).advance(steps)[0]
    assert float(losses.mean()) == pytest.approx(expected, abs=4 * error)


@pytest.mark.parametrize("optimizer", FORMS)
def test_a_jump_equals_single_steps_and_a_schedule_of_ones(optimizer):
    model, rates = NoisyQuadratic(20), [0.05, 0.5]
    jump = lanes_of(model, optimizer, 4, rates)
    single = lanes_of(model, optimizer, 4, rates)
    scheduled = lanes_of(model, optimizer, 4, rates, lr_factor=lambda step: np.ones(2))
    jump.advance(100)
    for _ in range(100):
        single.advance(1)
    scheduled.advance(100)
    np.testing.assert_allclose(jump.measure()[0], single.measure()[0], rtol=1e-10)
    np.testing.assert_allclose(jump.measure()[0], scheduled.measure()[0], rtol=1e-10)


def test_a_schedule_acts_outside_the_velocity_as_in_torch():
    def factor(step):
        return np.array([1.0 / (1 + step)])

    lanes = lanes_of(NoisyQuadratic(1), "heavy-ball", 10**12, 0.5, lr_factor=factor)
    lanes.advance(6)
    theta = torch.ones(1, dtype=torch.float64, requires_grad=True)
    rule = torch.optim.SGD([theta], lr=0.5, momentum=0.8)
    for step in range(6):
        rule.param_groups[0]["lr"] = 0.5 * float(factor(step)[0])
        theta.grad = theta.detach().clone()
        rule.step()
    assert lanes.measure()[0][0] == pytest.approx(0.5 * float(theta.detach()) ** 2, rel=1e-9)


def test_dropped_lanes_keep_their_own_schedule():
    def factor(step):
        return np.array([0.0, 1.0, 0.5])

    whole = lanes_of(NoisyQuadratic(5), "nesterov", 4, [0.1, 0.2, 0.3], lr_factor=factor)
    cut = lanes_of(NoisyQuadratic(5), "nesterov", 4, [0.1, 0.2, 0.3], lr_factor=factor)
    kept = np.array([False, True, True])
    whole.advance(9)
    cut.advance(4)
    cut.keep(kept)
    cut.advance(5)
    np.testing.assert_allclose(cut.measure()[0], whole.measure()[0][kept])


def test_an_unstable_rate_gives_a_loss_that_is_not_finite_without_a_warning():
    lanes = lanes_of(NoisyQuadratic(10), "sgd", 1, 50.0)
    lanes.advance(5000)
    assert not np.isfinite(lanes.measure()[0][0])


def test_a_diverging_lane_never_seems_to_reach_the_target():
    """Moments of a diverging lane overflow to either infinity."""
    lanes = lanes_of(NoisyQuadratic(), "heavy-ball", 16, 3.9, momentum=0.9057331544882115)
    losses = [lanes.advance(1)[0] for _ in range(1400)]
    assert not np.isfinite(losses[-1])
    assert not any(loss < 0.01 for loss in losses)


def test_many_steps_of_ten_thousand_directions_are_one_jump():
    lanes = lanes_of(NoisyQuadratic(10_000), "nesterov", 64, [0.01, 0.1])
    assert np.isfinite(lanes.advance(100_000)).all()


def test_every_lane_is_its_own_run():
    rates = [0.05, 0.2, 0.6]
    together = lanes_of(NoisyQuadratic(9), "nesterov", 4, rates).advance(31)
    alone = [lanes_of(NoisyQuadratic(9), "nesterov", 4, rate).advance(31)[0] for rate in rates]
    np.testing.assert_allclose(together, alone, rtol=1e-12)


@pytest.mark.parametrize(("batch_size", "steps"), PUBLISHED_SGD.items())
def test_densely_tuned_sgd_takes_the_published_steps(batch_size, steps):
    lanes = lanes_of(NoisyQuadratic(), "sgd", batch_size, np.geomspace(1e-3, 1.99, 400))
    lanes.advance(int(0.9 * steps))
    taken, stride = int(0.9 * steps), max(1, steps // 500)
    while np.nanmin(lanes.measure()[0]) >= 0.01:
        lanes.advance(stride)
        taken += stride
    assert taken == pytest.approx(steps, rel=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dimension": 0}, "`dimension` must be an integer of at least 1, got 0"),
        ({"dimension": 2.5}, "`dimension` must be an integer of at least 1, got 2.5"),
        ({"dimension": True}, "`dimension` must be an integer of at least 1, got True"),
        ({"a": -1}, "`a` must be a finite number of at least 0, got -1"),
        ({"b": float("inf")}, "`b` must be a finite number of at least 0, got inf"),
        ({"target": 0.0}, "`target` must be a finite loss above 0, got 0.0"),
        ({"target": float("nan")}, "`target` must be a finite loss above 0, got nan"),
    ],
)
def test_an_invalid_spectrum_is_refused(options, message):
    with pytest.raises(WorkloadError, match=message):
        NoisyQuadratic(**options)


def test_an_optimizer_without_a_known_recursion_is_refused():
    with pytest.raises(WorkloadError, match="supports the optimizers sgd, heavy-ball, nesterov"):
        lanes_of(NoisyQuadratic(), "adam", 1, 0.1)


def averaging(optimizer, lr, decay, batch_size=8, momentum=0.6, kind="ema_decay"):
    """Return lanes of every learning rate with every average, measured by it."""
    lrs, decays = (grid.ravel() for grid in np.meshgrid(lr, decay))
    values = {"lr": lrs} | ({} if optimizer == "sgd" else {"momentum": 0 * lrs + momentum})
    return NoisyQuadratic().lanes(
        LaneSetup(
            optimizer=optimizer,
            batch_size=batch_size,
            hyperparameters=values,
            lr_factor=None,
            seeds=np.zeros(len(lrs), dtype=np.int64),
            counts_averages=True,
            **{kind: decays},
        )
    )


@pytest.mark.parametrize(
    ("optimizer", "kind"),
    [("sgd", "ema_decay"), ("heavy-ball", "ema_decay"), ("nesterov", "tail_average")],
)
def test_the_expected_loss_of_averages_equals_that_of_simulated_runs(optimizer, kind):
    lr, momentum, decay, rng = 0.3, 0.6, 0.9, np.random.default_rng(0)
    workload = NoisyQuadratic()
    h, deviation = workload.curvature, np.sqrt(workload.noise / 8)
    theta = rng.standard_normal((2000, 100))
    velocity, average = np.zeros_like(theta), theta.copy()
    for step in range(1, 21):
        rate = 1 - decay if kind == "ema_decay" else tail_rate(decay, step)
        gradient = h * theta + deviation * rng.standard_normal(theta.shape)
        velocity = momentum * velocity + gradient
        forms = {"sgd": gradient, "heavy-ball": velocity}
        theta = theta - lr * forms.get(optimizer, gradient + momentum * velocity)
        average += rate * (theta - average)
    lanes = averaging(optimizer, [lr], [decay], kind=kind)
    lanes.advance(20)
    loss, error, raw = (values[0] for values in lanes.measure())
    assert lanes.quantities == ("raw_error",)
    assert loss == error == pytest.approx(0.5 * (average**2 @ h).mean(), rel=0.02)
    assert raw == pytest.approx(0.5 * (theta**2 @ h).mean(), rel=0.02)


def test_averages_help_at_small_batch_sizes_only():
    """As in Zhang et al. 2019, section 3: the fewest steps over learning rates and decays."""

    def fewest(batch_size, decays):
        lanes, step = averaging("sgd", np.geomspace(0.05, 1.99, 30), decays, batch_size), 0
        while not (lanes.measure()[1] < 0.01).any():
            wide = max(1, step // 20)
            lanes.advance(wide)
            step += wide
        return step

    gains = [fewest(b, [0.0]) / fewest(b, [0.0, 0.9, 0.99]) for b in (16, 4096)]
    assert gains[0] > 3
    assert gains[1] < 1.1
