"""The noisy quadratic model, whose expected loss follows from an exact recursion.

Zhang et al. 2019 (arXiv 1907.04164): L = 1/2 sum_i h_i theta_i^2, gradient noise of covariance
diag(c_i) / B, theta_0 ~ N(0, I). Directions are independent, so the expected loss needs only each
direction's second moments, which every update maps affinely.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.errors import WorkloadError
from workloads.models.layers import check_sizes
from workloads.workload import Floats, LaneSetup, Target, tail_rate

# with 100 directions, these contain the optima of all batch sizes from 4; including that of batch
# size 1, a learning rate of 2e-6, would make the other searches worse
_LR = {"low": 1e-5, "high": 4.0, "scale": "log"}
_MOMENTUM = {"low": 0.0, "high": 0.9999, "scale": "reverse-log"}


class NoisyQuadratic:
    """The noisy quadratic with h_i = i^-a and c_i = i^-b; its error is the expected loss."""

    averages = tail_averages = True
    batch_schedules = True
    study_defaults: Mapping[str, Any] = {
        "race": {"max_steps": 100_000},
        "search": {"space": {"lr": _LR, "momentum": _MOMENTUM}},
    }

    def __init__(
        self, dimension: int = 100, a: float = 1.0, b: float = 1.0, target: float = 0.01
    ) -> None:
        """Set the spectrum.

        Args:
            dimension: number of directions, >= 1.
            a: exponent of the curvatures, >= 0.
            b: exponent of the gradient noise, >= 0.
            target: expected loss to get below, above 0.

        Raises:
            WorkloadError: an argument is outside its range.
        """
        check_sizes(dimension=dimension)
        for name, exponent in (("a", a), ("b", b)):
            if not 0 <= exponent < math.inf:
                raise WorkloadError(
                    f"`{name}` must be a finite number of at least 0, got {exponent}"
                )
        if not 0 < target < math.inf:
            raise WorkloadError(f"`target` must be a finite loss above 0, got {target}")
        index = np.arange(1, dimension + 1, dtype=np.float64)
        self.target = Target(target, "loss")
        self.curvature: Floats = index**-a
        self.noise: Floats = index**-b

    def lanes(self, setup: LaneSetup) -> "QuadraticLanes":
        """Return lanes at theta_0, velocity 0.

        Raises:
            WorkloadError: the recursion of the optimizer is unknown.
        """
        if setup.optimizer not in _FORMS:
            raise WorkloadError(
                f"the noisy quadratic supports the optimizers {', '.join(_FORMS)}, got "
                f"{setup.optimizer!r}"
            )
        return QuadraticLanes(self.curvature, self.noise, setup)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Form:
    """An optimizer in torch's form: v <- m v + g, theta <- theta - lr (k g + m^n v).

    The learning rate stays outside the velocity, so that schedules act as in torch.
    """

    has_velocity: bool  # without it, theta <- theta - lr g
    gradient_weight: float  # k
    momentum_power: int  # n


_FORMS: Mapping[str, _Form] = {
    "sgd": _Form(has_velocity=False, gradient_weight=1.0, momentum_power=0),
    "heavy-ball": _Form(has_velocity=True, gradient_weight=0.0, momentum_power=0),
    "nesterov": _Form(has_velocity=True, gradient_weight=1.0, momentum_power=1),
}

_Map = tuple[Floats, Floats]
"""An affine map of the k second moments per direction: of theta, and of v and the average of theta
if there are any. Matrix (k, k, lanes, dimension), offset (k, lanes, dimension)."""


class QuadraticLanes:
    """Second moments of every direction in every lane."""

    def __init__(self, curvature: Floats, noise: Floats, setup: LaneSetup) -> None:
        """Start at E theta^2 = 1, v = 0, and the average of theta at theta; h and c are vectors."""
        self._h, self._form = curvature, _FORMS[setup.optimizer]
        self._noise, self._batch_size_at = noise, setup.batch_size_at
        self._batch_size = setup.batch_size
        self._lr = setup.hyperparameters["lr"]
        self._momentum = setup.hyperparameters.get("momentum", np.zeros_like(self._lr))
        self._lr_factor, self._step = setup.lr_factor, 0
        self._kept = np.arange(len(self._lr))
        self._decay, self._tail = setup.ema_decay, setup.tail_average
        self._counts_averages = setup.counts_averages
        averaged = self._decay is not None or self._tail is not None
        size = 1 + self._form.has_velocity + averaged
        self._pairs = [(i, j) for i in range(size) for j in range(i, size)]
        start = {0, size - 1} if averaged else {0}
        self._moments = np.zeros((len(self._pairs), len(self._lr), len(curvature)))
        self._moments[[place for place, pair in enumerate(self._pairs) if {*pair} <= start]] = 1.0
        beside = "raw_error" if self._counts_averages else "averaged_error"
        self.quantities = (beside,) if averaged else ()

    def advance(self, steps: int) -> Floats:
        """Take `steps` >= 1 updates; return the expected loss after the last, shape (lanes,)."""
        with np.errstate(over="ignore", invalid="ignore"):
            if self._lr_factor is None and self._tail is None:
                self._jump(self._update(self._lr, self._batch_size), steps)
            else:
                for step in range(self._step, self._step + steps):
                    self._apply(self._update_at(step))
        self._step += steps
        return self._loss()

    def measure(self) -> tuple[Floats, ...]:
        """Return the expected loss of every lane as loss and as error, each of shape (lanes,).

        With averages, there is a third: the expected loss of the weights if the error is that of
        the averages, and that of the averages if the error is that of the weights.
        """
        raw = self._loss()
        if not self.quantities:
            return raw, raw
        averaged = self._loss(of=-1)
        counted, beside = (averaged, raw) if self._counts_averages else (raw, averaged)
        return counted, counted, beside

    def keep(self, lanes: NDArray[np.bool_]) -> None:
        """Drop every lane where `lanes`, shape (lanes,), is False."""
        self._lr, self._momentum = self._lr[lanes], self._momentum[lanes]
        self._moments, self._kept = self._moments[:, lanes], self._kept[lanes]
        if self._decay is not None:
            self._decay = self._decay[lanes]
        if self._tail is not None:
            self._tail = self._tail[lanes]

    def _loss(self, of: int = 0) -> Floats:
        """Return the expected loss of theta, or with `of=-1` that of its average."""
        with np.errstate(over="ignore", invalid="ignore"):
            # moments of a diverging lane may overflow to minus infinity, which is not a low loss
            loss: Floats = 0.5 * (np.abs(self._moments[of]) @ self._h)
        return loss

    def _jump(self, update: _Map, steps: int) -> None:
        """Apply an update `steps` times by repeated squaring; powers of one map commute."""
        while True:
            if steps % 2:
                self._apply(update)
            steps //= 2
            if steps == 0:
                return
            update = _twice(update)

    def _apply(self, update: _Map) -> None:
        self._moments = _times(update[0], self._moments) + update[1]

    def _update_at(self, step: int) -> _Map:
        at, lr = self._batch_size_at, self._lr
        if self._lr_factor is not None:
            lr = lr * self._lr_factor(step)[self._kept]
        return self._update(lr, self._batch_size if at is None else at(step), step)

    def _update(self, lr: Floats, batch_size: int, step: int = 0) -> _Map:
        """Return the map of one update: z <- M z + noise n, for z = (theta, v, average)."""
        lr, m, h = lr[:, None], self._momentum[:, None], self._h
        power, weight = self._form.momentum_power, np.array(self._form.gradient_weight)
        if self._form.has_velocity:
            weight = weight + m**power
        rows: list[list[Any]] = [[1 - lr * weight * h]]
        noise: list[Any] = [-lr * weight]
        if self._form.has_velocity:
            rows = [[*rows[0], -lr * m ** (1 + power)], [h, m]]
            noise.append(1.0)
        if self.quantities:  # a <- (1 - r) a + r theta, of the new theta
            rate = tail_rate(self._tail, step + 1) if self._decay is None else 1 - self._decay
            taken = rate[:, None]
            rows = [*([*row, 0.0] for row in rows), [*(taken * p for p in rows[0]), 1 - taken]]
            noise.append(taken * noise[0])
        return self._moments_map(rows, noise, self._noise / batch_size)

    def _moments_map(self, rows: list[list[Any]], noise: list[Any], variance: Floats) -> _Map:
        """Return the map of the moments E z_i z_j, i <= j, given M, n and the variance of noise."""
        shape = self._moments.shape[1:]
        matrix = [
            [
                rows[i][a] * rows[j][b] + (rows[i][b] * rows[j][a] if a < b else 0.0)
                for a, b in self._pairs
            ]
            for i, j in self._pairs
        ]
        offset = [noise[i] * noise[j] * variance for i, j in self._pairs]
        return (
            np.array([[np.broadcast_to(entry, shape) for entry in row] for row in matrix]),
            np.array([np.broadcast_to(entry, shape) for entry in offset]),
        )


def _twice(update: _Map) -> _Map:
    matrix, offset = update
    squared = np.einsum("ij...,jk...->ik...", matrix, matrix)
    return squared, _times(matrix, offset) + offset


def _times(matrix: Floats, moments: Floats) -> Floats:
    product: Floats = np.einsum("ij...,j...->i...", matrix, moments)
    return product
