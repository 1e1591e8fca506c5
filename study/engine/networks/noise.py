"""Random numbers of packed lanes: drawn outside the trace, by each lane's own generator.

A trace that drew by itself would give a lane other numbers in another pack. So the draws of one
training step are recorded once, and before each step every lane repeats them with its own
generator, in the order and by the functions of plain torch. A lane's numbers depend on its seed
alone, and are the same as when it trains by itself.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from workloads.errors import WorkloadError

Draw = Callable[[torch.Generator], Tensor]
"""Draws what one lane needs at one point of its computation."""
Use = Callable[[Any], Tensor]
"""Computes a random function's result from what was drawn; from None if nothing was."""
RandomCall = tuple[Draw | None, Use]


class RandomCalls(TorchFunctionMode):
    """A context that handles calls of known random functions and lets all others through."""

    def __init__(self, handle: Callable[[Draw | None, Use, Callable[[], Any]], Any]) -> None:
        """Take the function that returns a random function's result; its last argument calls it."""
        super().__init__()
        self._handle = handle

    def __torch_function__(self, run: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the function, or handle it if it is known to draw."""
        named = kwargs or {}
        call, describe, known = partial(run, *args, **named), _RANDOM.get(run), None
        if describe is not None and named.get("generator") is None:
            known = describe(run, *args, **named)
        return call() if known is None else self._handle(*known, call)


def recorded_draws(draws: list[Draw]) -> RandomCalls:
    """Return a context that appends the draws made in it to a list, one per call, in order."""

    def record(draw: Draw | None, use: Use, call: Callable[[], Any]) -> Any:
        if draw is not None:
            draws.append(draw)
        return call()

    return RandomCalls(record)


def given_draws(drawn: Iterable[Tensor]) -> RandomCalls:
    """Return a context in which random functions use numbers from recorded draws, in order."""
    remaining = iter(drawn)

    def give(draw: Draw | None, use: Use, call: Callable[[], Any]) -> Any:
        numbers = None if draw is None else next(remaining, None)
        if draw is not None and numbers is None:
            raise WorkloadError("it draws more random numbers in one call than in another")
        return use(numbers)

    return RandomCalls(give)


def constant_draws(device: torch.device) -> RandomCalls:
    """Return a context in which each call draws one number throughout, the same for any batch.

    A batch and its parts are then computed alike. A permutation becomes the identity.
    """
    generator = torch.Generator(device)

    def repeat(draw: Draw | None, use: Use, call: Callable[[], Any]) -> Any:
        drawn = None if draw is None else draw(generator)
        if drawn is not None and drawn.is_floating_point():
            drawn = torch.full_like(drawn, 0.5)
        elif drawn is not None and drawn.numel():
            identity = torch.arange(drawn.numel(), device=drawn.device).view_as(drawn)
            permutes = torch.equal(drawn.flatten().sort().values, identity.flatten())
            drawn = identity.to(drawn) if permutes else torch.full_like(drawn, int(drawn.amin()))
        return use(drawn)

    return RandomCalls(repeat)


def _dropout(
    function: object, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> RandomCall | None:
    dimensions = _DIMENSIONS[function]
    if not training or dimensions not in {None, x.dim()}:
        return None
    if p == 0:
        return None, lambda _: x  # vmap refuses torch's own function as random even then
    if p == 1 or x.numel() == 0:
        return None
    shape = x.shape if dimensions is None else [*x.shape[:2], *[1] * (x.dim() - 2)]
    kind = x.dtype

    def draw(generator: torch.Generator) -> Tensor:
        kept = torch.empty(shape, dtype=kind, device=generator.device)
        return kept.bernoulli_(1 - p, generator=generator).div_(1 - p)

    return draw, x.mul_ if inplace else x.mul


def _new(function: Any, *args: Any, device: Any = None, **kwargs: Any) -> RandomCall:
    def draw(generator: torch.Generator) -> Tensor:
        drawn: Tensor = function(*args, **kwargs, generator=generator, device=generator.device)
        return drawn

    return draw, lambda drawn: drawn


def _like(function: Any, x: Tensor, dtype: torch.dtype | None = None) -> RandomCall:
    return _new(_OF_SHAPE[function], x.shape, dtype=dtype or x.dtype)


def _filled(function: Any, x: Tensor, *args: Any, **kwargs: Any) -> RandomCall | None:
    if any(isinstance(value, Tensor) for value in (*args, *kwargs.values())):
        return None
    shape, kind = x.shape, x.dtype

    def draw(generator: torch.Generator) -> Tensor:
        empty = torch.empty(shape, dtype=kind, device=generator.device)
        drawn: Tensor = function(empty, *args, **kwargs, generator=generator)
        return drawn

    return draw, x.copy_


_OF_SHAPE: Mapping[Any, Any] = {torch.rand_like: torch.rand, torch.randn_like: torch.randn}
_DIMENSIONS: Mapping[Any, int | None] = {
    functional.dropout: None,
    functional.dropout1d: 3,
    functional.dropout2d: 4,
    functional.dropout3d: 5,
}
"""Axes of the input whose whole channels a function drops; None if it drops single numbers."""
_RANDOM: Mapping[Any, Callable[..., RandomCall | None]] = {
    **dict.fromkeys(_DIMENSIONS, _dropout),
    **dict.fromkeys((torch.rand, torch.randn, torch.randint, torch.randperm), _new),
    **dict.fromkeys(_OF_SHAPE, _like),
    **dict.fromkeys((Tensor.bernoulli_, Tensor.normal_, Tensor.uniform_), _filled),
}
"""Random functions whose draws depend on shapes alone; vmap refuses all others."""
