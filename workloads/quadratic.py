"""The noisy quadratic model: expected loss by exact recursion, so that the truth is known.

Zhang et al. 2019 (arXiv 1907.04164): L = 1/2 sum_i h_i theta_i^2, gradient noise of covariance
diag(c_i) / B, theta_0 ~ N(0, I). Directions are independent, so the expected loss needs only each
direction's second moments, which every update maps affinely.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workloads.errors import WorkloadError
from workloads.workload import Floats, LaneSetup, Target

_LR = {"low": 1e-4, "high": 3.5, "scale": "log"}
_MOMENTUM = {"low": 0.0, "high": 0.9999, "scale": "reverse-log"}


class NoisyQuadratic:
    """The noisy quadratic with h_i = i^-a and c_i = i^-b; its error is the expected loss."""

    study_defaults = {
        "race": {"max_steps": 100_000},
        "search": {"space": {"lr": _LR, "momentum": _MOMENTUM}},
    }

    def __init__(
        self, dimension: int = 100, a: float = 1.0, b: float = 1.0, target: float = 0.01
    ) -> None:
        """Sets the spectrum.

        Args:
            dimension: number of directions, >= 1.
            a: exponent of the curvatures, >= 0.
            b: exponent of the gradient noise, >= 0.
            target: expected loss to get below, above 0.

        Raises:
            WorkloadError: one of them is outside its range.
        """
        if not (isinstance(dimension, int) and dimension >= 1):
            raise WorkloadError(f"`dimension` must be an integer >= 1, got {dimension}; raise it")
        if not (a >= 0 and b >= 0):
            raise WorkloadError(f"`a` and `b` must be >= 0, got {a} and {b}; raise them")
        index = np.arange(1, dimension + 1, dtype=np.float64)
        self.target = Target(target, "loss")
        self.curvature: Floats = index**-a
        self.noise: Floats = index**-b

    def lanes(self, setup: LaneSetup) -> "QuadraticLanes":
        """Gives lanes at theta_0, velocity 0.

        Args:
            setup: optimizer, batch size, hyperparameters.

        Returns:
            The lanes.

        Raises:
            WorkloadError: the optimizer is not one whose recursion is known.
        """
        if setup.optimizer not in _FORMS:
            raise WorkloadError(
                f"the noisy quadratic knows the optimizers {', '.join(_FORMS)}, got "
                f"{setup.optimizer!r}; choose one"
            )
        return QuadraticLanes(self.curvature, self.noise, setup)


@dataclass(frozen=True, slots=True)
class _Form:
    """An optimizer in torch's form: v <- m v + g, theta <- theta - lr (k_g g + k_v v).

    Attributes:
        has_velocity: whether there is a v at all.
        gradient_weight: k_g.
        momentum_power: k_v as a power of m; 0 is 1, 1 is m.
    """

    has_velocity: bool
    gradient_weight: float
    momentum_power: int


_FORMS: Mapping[str, _Form] = {
    "sgd": _Form(has_velocity=False, gradient_weight=1.0, momentum_power=0),
    "heavy-ball": _Form(has_velocity=True, gradient_weight=0.0, momentum_power=0),
    "nesterov": _Form(has_velocity=True, gradient_weight=1.0, momentum_power=1),
}

# The moments (E theta^2, E theta v, E v^2) change by a matrix and an offset per direction.
_Map = tuple[Floats, Floats]
"""Matrix (3, 3, lanes, dimension) and offset (3, lanes, dimension) of an affine map."""


class QuadraticLanes:
    """Second moments of every direction in every lane."""

    def __init__(self, curvature: Floats, noise: Floats, setup: LaneSetup) -> None:
        """Starts at E theta^2 = 1, v = 0.

        Args:
            curvature: h, shape (dimension,).
            noise: c, shape (dimension,).
            setup: optimizer, batch size, hyperparameters.
        """
        self._h, self._form = curvature, _FORMS[setup.optimizer]
        self._variance = noise / setup.batch_size
        self._lr = setup.hyperparameters["lr"]
        zero = np.zeros_like(self._lr)
        self._momentum = setup.hyperparameters.get("momentum", zero)
        self._factor, self._alive, self._step = setup.lr_factor, np.arange(len(self._lr)), 0
        self._moments = np.zeros((3, len(self._lr), len(curvature)))
        self._moments[0] = 1.0

    def advance(self, steps: int) -> Floats:
        """Takes `steps` >= 1 updates; gives the expected loss after them, shape (lanes,)."""
        with np.errstate(over="ignore", invalid="ignore"):
            if self._factor is None:
                self._apply(_power(self._one_step(self._lr), steps))
            else:
                for step in range(self._step, self._step + steps):
                    self._apply(self._one_step(self._lr * self._factor(step)[self._alive]))
        self._step += steps
        return self._loss()

    def measure(self) -> tuple[Floats, Floats]:
        """Gives the expected loss of every lane, twice, each of shape (lanes,)."""
        loss = self._loss()
        return loss, loss

    def keep(self, lanes: NDArray[np.bool_]) -> None:
        """Drops every lane where `lanes`, shape (lanes,), is False."""
        self._lr, self._momentum = self._lr[lanes], self._momentum[lanes]
        self._moments, self._alive = self._moments[:, lanes], self._alive[lanes]

    def _loss(self) -> Floats:
        with np.errstate(over="ignore", invalid="ignore"):
            loss: Floats = 0.5 * (self._moments[0] @ self._h)
        return loss

    def _apply(self, step: _Map) -> None:
        matrix, offset = step
        self._moments = np.einsum("ij...,j...->i...", matrix, self._moments) + offset

    def _one_step(self, lr: Floats) -> _Map:
        """Gives the map of one update: (theta, v) <- [[p, q], [r, s]] (theta, v) + noise (x, y)."""
        lr, m, h = lr[:, None], self._momentum[:, None], self._h
        if not self._form.has_velocity:
            zero = np.zeros_like(lr * h)
            p, q, r, s, x, y = 1 - lr * h, zero, zero, zero, -lr + zero, zero
        else:
            weight = self._form.gradient_weight + m**self._form.momentum_power
            one = np.ones_like(lr * h)
            p, q = 1 - lr * weight * h, -lr * m ** (1 + self._form.momentum_power) * one
            r, s = h * one, m * one
            x, y = -lr * weight * one, one
        matrix = np.array(
            [
                [p * p, 2 * p * q, q * q],
                [p * r, p * s + q * r, q * s],
                [r * r, 2 * r * s, s * s],
            ]
        )
        return matrix, self._variance * np.array([x * x, x * y, y * y])


def _power(step: _Map, count: int) -> _Map:
    """Composes a map with itself `count` >= 1 times, by repeated squaring."""
    result: _Map | None = None
    while True:
        if count % 2:
            result = step if result is None else _after(step, result)
        count //= 2
        if count == 0:
            assert result is not None
            return result
        step = _after(step, step)


def _after(second: _Map, first: _Map) -> _Map:
    matrix = np.einsum("ij...,jk...->ik...", second[0], first[0])
    return matrix, np.einsum("ij...,j...->i...", second[0], first[1]) + second[1]
