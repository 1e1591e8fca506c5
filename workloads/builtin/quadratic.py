"""The noisy quadratic model, whose expected loss follows from an exact recursion.

Zhang et al. 2019 (arXiv 1907.04164): L = 1/2 sum_i h_i theta_i^2, gradient noise of covariance
diag(c_i) / B, theta_0 ~ N(0, I). Directions are independent, so the expected loss needs only each
direction's second moments, which every update maps affinely.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.errors import WorkloadError
from workloads.workload import Floats, LaneSetup, Target

# d = 100: holds every optimum from a batch of 4 on; that of batch 1 (lr 2e-6) would cost the others
_LR = {"low": 1e-5, "high": 4.0, "scale": "log"}
_MOMENTUM = {"low": 0.0, "high": 0.9999, "scale": "reverse-log"}


class NoisyQuadratic:
    """The noisy quadratic with h_i = i^-a and c_i = i^-b; its error is the expected loss."""

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
            WorkloadError: one of them is outside its range.
        """
        if not (isinstance(dimension, int) and dimension >= 1):
            raise WorkloadError(f"`dimension` must be an integer of at least 1, got {dimension}")
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

        Returns:
            The lanes.

        Raises:
            WorkloadError: the optimizer is not one whose recursion is known.
        """
        if setup.optimizer not in _FORMS:
            raise WorkloadError(
                f"the noisy quadratic knows the optimizers {', '.join(_FORMS)}, got "
                f"{setup.optimizer!r}"
            )
        return QuadraticLanes(self.curvature, self.noise, setup)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Form:
    """An optimizer in torch's form: v <- m v + g, theta <- theta - lr (k g + m^n v).

    The learning rate stays outside the velocity, so that schedules act as in torch.

    Attributes:
        has_velocity: whether there is a v; without it, theta <- theta - lr g.
        gradient_weight: k.
        momentum_power: n.
    """

    has_velocity: bool
    gradient_weight: float
    momentum_power: int


_FORMS: Mapping[str, _Form] = {
    "sgd": _Form(has_velocity=False, gradient_weight=1.0, momentum_power=0),
    "heavy-ball": _Form(has_velocity=True, gradient_weight=0.0, momentum_power=0),
    "nesterov": _Form(has_velocity=True, gradient_weight=1.0, momentum_power=1),
}

_Map = tuple[Floats, Floats]
"""An affine map of the k moments that an optimizer has per direction: (E theta^2) or
(E theta^2, E theta v, E v^2). Matrix (k, k, lanes, dimension), offset (k, lanes, dimension)."""


class QuadraticLanes:
    """Second moments of every direction in every lane."""

    def __init__(self, curvature: Floats, noise: Floats, setup: LaneSetup) -> None:
        """Start at E theta^2 = 1, v = 0.

        Args:
            curvature: h, shape (dimension,).
            noise: c, shape (dimension,).
            setup: optimizer, batch size, hyperparameters.
        """
        self._h, self._form = curvature, _FORMS[setup.optimizer]
        self._noise, self._batch_size_at = noise, setup.batch_size_at
        self._batch_size = setup.batch_size
        self._lr = setup.hyperparameters["lr"]
        self._momentum = setup.hyperparameters.get("momentum", np.zeros_like(self._lr))
        self._lr_factor, self._step = setup.lr_factor, 0
        self._kept = np.arange(len(self._lr))
        moments = 3 if self._form.has_velocity else 1
        self._moments = np.zeros((moments, len(self._lr), len(curvature)))
        self._moments[0] = 1.0

    def advance(self, steps: int) -> Floats:
        """Take `steps` >= 1 updates; return the expected loss after the last, shape (lanes,)."""
        with np.errstate(over="ignore", invalid="ignore"):
            if self._lr_factor is None:
                self._jump(self._update(self._lr, self._batch_size), steps)
            else:
                for step in range(self._step, self._step + steps):
                    self._apply(self._update_at(step, self._lr_factor))
        self._step += steps
        return self._loss()

    def measure(self) -> tuple[Floats, Floats]:
        """Return the expected loss of every lane as loss and as error, each of shape (lanes,)."""
        loss = self._loss()
        return loss, loss

    def keep(self, lanes: NDArray[np.bool_]) -> None:
        """Drop every lane where `lanes`, shape (lanes,), is False."""
        self._lr, self._momentum = self._lr[lanes], self._momentum[lanes]
        self._moments, self._kept = self._moments[:, lanes], self._kept[lanes]

    def _loss(self) -> Floats:
        with np.errstate(over="ignore", invalid="ignore"):
            # moments of a diverging lane may overflow to minus infinity, which must not pass as low
            loss: Floats = 0.5 * (np.abs(self._moments[0]) @ self._h)
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

    def _update_at(self, step: int, lr_factor: Callable[[int], Floats]) -> _Map:
        at = self._batch_size_at
        lr = self._lr * lr_factor(step)[self._kept]
        return self._update(lr, self._batch_size if at is None else at(step))

    def _update(self, lr: Floats, batch_size: int) -> _Map:
        """Return one update's map: (theta, v) <- [[p, q], [r, s]] (theta, v) + noise (x, y)."""
        lr, m, h = lr[:, None], self._momentum[:, None], self._h
        variance = self._noise / batch_size
        if not self._form.has_velocity:
            return np.array([[(1 - lr * h) ** 2]]), np.array([lr**2 * variance])
        weight = self._form.gradient_weight + m**self._form.momentum_power
        p, q = 1 - lr * weight * h, -lr * m ** (1 + self._form.momentum_power)
        r, s = h, m
        x, y = -lr * weight, 1.0
        rows = [
            [p * p, 2 * p * q, q * q],
            [p * r, p * s + q * r, q * s],
            [r * r, 2 * r * s, s * s],
        ]
        shape = self._moments.shape[1:]
        matrix = np.array([[np.broadcast_to(entry, shape) for entry in row] for row in rows])
        noise = [np.broadcast_to(entry * variance, shape) for entry in (x * x, x * y, y * y)]
        return matrix, np.array(noise)


def _twice(update: _Map) -> _Map:
    matrix, offset = update
    squared = np.einsum("ij...,jk...->ik...", matrix, matrix)
    return squared, _times(matrix, offset) + offset


def _times(matrix: Floats, moments: Floats) -> Floats:
    product: Floats = np.einsum("ij...,j...->i...", matrix, moments)
    return product
