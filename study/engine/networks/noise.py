"""Random numbers of packed lanes: drawn outside the trace, by each lane's own generator.

A trace that drew by itself would give a lane other numbers in another pack. So what a model draws
in one training step is recorded once, and before each step every lane draws the same from its own
generator, in the order and by the functions of plain torch. A lane's numbers follow from its seed
alone, and are those of the lane trained by itself.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from workloads.errors import WorkloadError

Draw = Callable[[torch.Generator], Tensor]
"""Draws what one lane needs at one place of its computation."""
Use = Callable[[Any], Tensor]
"""Computes a random function's result from what was drawn; from None where nothing was."""
Known = tuple[Draw | None, Use]


class _Drawing(TorchFunctionMode):
    """A context that meets every call of a random function, and lets all others through."""

    def __torch_function__(self, run: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the function, or meet it where it is known to draw."""
        named = kwargs or {}
        call, part, known = partial(run, *args, **named), _RANDOM.get(run), None
        if part is not None and named.get("generator") is None:
            known = part(run, *args, **named)
        return call() if known is None else self._meet(*known, call)

    def _meet(self, draw: Draw | None, use: Use, call: Callable[[], Any]) -> Any:
        raise NotImplementedError


class Recorded(_Drawing):
    """A context that notes what is drawn in it."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()
        self.draws: list[Draw] = []  # one for each call of a random function, in order

    def _meet(self, draw: Draw | None, use: Use, call: Callable[[], Any]) -> Any:
        if draw is not None:
            self.draws.append(draw)
        return call()


class Given(_Drawing):
    """A context in which random functions take what was drawn before, in order."""

    def __init__(self, drawn: Sequence[Tensor]) -> None:
        """Take tensors that the draws of `Recorded` gave."""
        super().__init__()
        self._drawn: Iterator[Tensor] = iter(drawn)

    def _meet(self, draw: Draw | None, use: Use, call: Callable[[], Any]) -> Any:
        drawn = None if draw is None else next(self._drawn, None)
        if draw is not None and drawn is None:
            raise WorkloadError("it draws more random numbers in one call than in another")
        return use(drawn)


def _dropout(
    function: object, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Known | None:
    return _dropped(x, x.shape, p, inplace) if training else None


def _feature_dropout(
    function: object, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Known | None:
    if not training or x.dim() != _DIMENSIONS[function]:
        return None
    return _dropped(x, torch.Size([*x.shape[:2], *[1] * (x.dim() - 2)]), p, inplace)


def _dropped(x: Tensor, shape: torch.Size, p: float, inplace: bool) -> Known | None:
    if p == 0:
        return None, lambda _: x  # torch's own function counts as random even so
    if p == 1 or x.numel() == 0:
        return None
    kind = x.dtype

    def draw(generator: torch.Generator) -> Tensor:
        kept = torch.empty(shape, dtype=kind, device=generator.device)
        return kept.bernoulli_(1 - p, generator=generator).div_(1 - p)

    return draw, x.mul_ if inplace else x.mul


def _new(function: Any, *args: Any, device: Any = None, **kwargs: Any) -> Known:
    def draw(generator: torch.Generator) -> Tensor:
        drawn: Tensor = function(*args, **kwargs, generator=generator, device=generator.device)
        return drawn

    return draw, lambda drawn: drawn


def _like(function: Any, x: Tensor, dtype: torch.dtype | None = None) -> Known:
    return _new(_OF_SHAPE[function], x.shape, dtype=dtype or x.dtype)


def _filled(function: Any, x: Tensor, *args: Any, **kwargs: Any) -> Known | None:
    if any(isinstance(value, Tensor) for value in (*args, *kwargs.values())):
        return None
    shape, kind = x.shape, x.dtype

    def draw(generator: torch.Generator) -> Tensor:
        empty = torch.empty(shape, dtype=kind, device=generator.device)
        drawn: Tensor = function(empty, *args, **kwargs, generator=generator)
        return drawn

    return draw, x.copy_


_OF_SHAPE: Mapping[Any, Any] = {torch.rand_like: torch.rand, torch.randn_like: torch.randn}
_DIMENSIONS: Mapping[Any, int] = {
    functional.dropout1d: 3,
    functional.dropout2d: 4,
    functional.dropout3d: 5,
}
_RANDOM: Mapping[Any, Callable[..., Known | None]] = {
    functional.dropout: _dropout,
    **dict.fromkeys(_DIMENSIONS, _feature_dropout),
    **dict.fromkeys((torch.rand, torch.randn, torch.randint, torch.randperm), _new),
    **dict.fromkeys(_OF_SHAPE, _like),
    **dict.fromkeys((Tensor.bernoulli_, Tensor.normal_, Tensor.uniform_), _filled),
}
"""Random functions whose draws depend on shapes alone. vmap refuses all others."""
