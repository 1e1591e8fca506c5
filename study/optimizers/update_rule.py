"""Update rules for all lanes at once, and the optimizer steps that apply them to a model.

The parameters of all lanes are one tensor of shape (lanes, parameters), so an update rule is a few
in-place operations whatever the model. Every hyperparameter has shape (lanes, 1).
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from study.config.coordinates import COORDINATES, DECAY_TIME, EXAMPLES
from study.config.space import Hyperparameter
from study.optimizers.parameters import ParameterTensors

WEIGHT_DECAY = Hyperparameter(default=0.0, low=0.0)
"""Coupled (L2) decay: g + weight_decay p in place of the gradient g; 0 is off."""
CLIP_NORM = Hyperparameter(default=0.0, low=0.0)
"""Upper bound on the norm of a lane's gradient, clipped as torch does; 0 is off."""


@dataclass(frozen=True, slots=True)
class State:
    """All lanes at one step, for an update rule to read and change.

    Attributes:
        parameters: shape (lanes, parameters).
        gradients: shape (lanes, parameters); an update rule may overwrite them. Zero between
            steps.
        buffers: by name, each (lanes, parameters), (lanes, 1) for counters, or (lanes, width).
        values: hyperparameters by name, each (lanes, 1); `lr` as scheduled for this step.
        described: name, shape and role of the model's parameter tensors.
    """

    parameters: Tensor
    gradients: Tensor
    buffers: Mapping[str, Tensor]
    values: Mapping[str, Tensor]
    described: ParameterTensors

    def __post_init__(self) -> None:
        """Forbid replacing an entry, which would be lost; tensors are changed in place."""
        for name in ("buffers", "values"):
            object.__setattr__(self, name, MappingProxyType(getattr(self, name)))

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the model's parameter tensors."""
        return tuple(tensor.shape for tensor in self.described)

    def tensors(self, flat: Tensor) -> list[Tensor]:
        """Return views of `flat`, one per parameter tensor, each (lanes, size of the tensor)."""
        return list(torch.split(flat, [tensor.size for tensor in self.described], dim=1))

    def shaped(self, flat: Tensor) -> list[Tensor]:
        """Return views of `flat`, one per parameter tensor, each (lanes, *shape of the tensor)."""
        pairs = zip(self.tensors(flat), self.shapes, strict=True)
        return [tensor.view(-1, *shape) for tensor, shape in pairs]

    def each(self, buffers: Collection[str]) -> "list[State]":
        """Return one state per parameter tensor, made of views; `buffers` names those to split."""
        parts = {name: self.tensors(self.buffers[name]) for name in buffers}
        pieces = zip(self.tensors(self.parameters), self.tensors(self.gradients), strict=True)
        return [
            State(
                parameters,
                gradients,
                {**self.buffers, **{name: part[i] for name, part in parts.items()}},
                self.values,
                (self.described[i],),
            )
            for i, (parameters, gradients) in enumerate(pieces)
        ]


REFRESH_EVERY = 10
"""Steps from one refresh of an optimizer's state to the next (f of Vyas et al. 2024)."""

Update = Callable[[State], None]
"""Takes one step: changes parameters and buffers in place.

It must not run out of memory halfway, since such a step is repeated from its gradients: it may
allocate about one parameter tensor, far less than the backward pass has just released.
It must be a module-level function, or compare equal when rebuilt: traces are cached by it.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Optimizer:
    """An update rule with its hyperparameters and state.

    Attributes:
        hyperparameters: by name, each with a default range or a fixed default.
        update: the update rule.
        buffers: names of the state tensors of shape (lanes, parameters), initially zero.
        counters: names of the state tensors of shape (lanes, 1), initially zero.
        widths: maps a model's parameter tensors to the widths, by name, of state tensors (lanes,
            width), initially zero; None if there are none.
        refresh: changes the state, in place, before the second step and every tenth after it. It
            is never traced or captured: for slow computations such as factorizations.
        average: returns weights to measure in place of the trained ones, (lanes, parameters); None
            for a rule that averages nothing.
        coupled_decay: whether a study may set `weight_decay`, which is added to the gradient.
        decoupled_decay: whether a step has p <- (1 - lr weight_decay) p, so a study may give the
            time constant of this decay in examples.
        normalized_momentum: whether the length of a step does not grow with `momentum`, as for an
            average or a normalized update, so lr / (1 - momentum) means nothing.
    """

    hyperparameters: Mapping[str, Hyperparameter]
    update: Update
    buffers: tuple[str, ...] = ()
    counters: tuple[str, ...] = ()
    widths: Callable[[ParameterTensors], Mapping[str, int]] | None = None
    refresh: Update | None = None
    average: Callable[[State], Tensor] | None = None
    coupled_decay: bool = False
    decoupled_decay: bool = False
    normalized_momentum: bool = False

    @property
    def optional(self) -> Mapping[str, Hyperparameter]:
        """Hyperparameters that are in the search space only if a study names them."""
        decay = {"weight_decay": WEIGHT_DECAY} if self.coupled_decay else {}
        extras = decay | {"clip_norm": CLIP_NORM}
        own = {name: entry for name, entry in extras.items() if name not in self.hyperparameters}
        return own | {
            name: EXAMPLES
            for name, coordinate in COORDINATES.items()
            if coordinate.hyperparameter in self.hyperparameters
            and (name != DECAY_TIME or self.decoupled_decay)
        }

    def zeros(self, parameters: Tensor, described: ParameterTensors) -> dict[str, Tensor]:
        """Return the initial state tensors for parameters of shape (lanes, parameters)."""
        lanes, count = parameters.shape
        widths = dict.fromkeys(self.buffers, count) | dict.fromkeys(self.counters, 1)
        own = {} if self.widths is None else self.widths(described)
        if taken := own.keys() & {*widths, *self.hyperparameters}:
            raise ValueError(f"widths with the name {min(taken)!r}, which is taken; rename it")
        widths |= own
        return {name: parameters.new_zeros(lanes, width) for name, width in widths.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """An optimizer step on given gradients: optional clipping and coupled decay, then the update.

    Steps with equal update rules and models compare equal, since traces are cached by them.
    """

    update: Update
    described: ParameterTensors  # the model's parameter tensors
    refresh: Update | None = None  # as in :class:`Optimizer`
    clips: bool = False  # whether gradients are clipped
    decays: bool = False  # whether coupled decay is added, after clipping as in torch

    @classmethod
    def of(
        cls, optimizer: Optimizer, described: ParameterTensors, named: Collection[str]
    ) -> "Step":
        """Return an optimizer's step; clipping and decay are applied if `named` has them."""
        used = optimizer.optional.keys() & set(named)
        return cls(
            update=optimizer.update,
            described=described,
            refresh=optimizer.refresh,
            clips="clip_norm" in used,
            decays="weight_decay" in used,
        )

    def between(
        self, parameters: Tensor, buffers: Mapping[str, Tensor], values: Mapping[str, Tensor]
    ) -> State:
        """Return the state between two steps."""
        gradients = parameters.new_zeros(1, 1).expand_as(parameters)
        return State(parameters, gradients, buffers, values, self.described)

    def prepare(
        self,
        number: int,
        parameters: Tensor,
        buffers: Mapping[str, Tensor],
        values: Mapping[str, Tensor],
    ) -> None:
        """Refresh the buffers in place if that is due before a step; 0 is the first step."""
        if self.refresh is not None and number % REFRESH_EVERY == 1:
            self.refresh(self.between(parameters, buffers, values))

    def __call__(
        self,
        parameters: Tensor,
        gradients: Tensor,
        buffers: Mapping[str, Tensor],
        values: Mapping[str, Tensor],
    ) -> None:
        """Change parameters and buffers in place; the gradients may be overwritten."""
        if self.clips:
            _clip(gradients, values["clip_norm"])
        if self.decays:
            gradients.addcmul_(parameters, values["weight_decay"])
        self.update(State(parameters, gradients, buffers, values, self.described))


def _clip(gradients: Tensor, max_norm: Tensor) -> None:
    """Set g <- g min(1, max_norm / (|g| + 1e-6)), with the norm over all of a lane's parameters."""
    norm = torch.linalg.vector_norm(gradients, dim=1, keepdim=True)
    scale = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    gradients.mul_(torch.where(max_norm > 0, scale, 1.0))
