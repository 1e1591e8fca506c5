"""Coordinates: hyperparameters in units of examples, so that one value serves all batch sizes.

An average with decay beta has a half-life of ln(1/2) / ln(beta) steps, or B times as many examples.
In examples it stays the same when the batch size changes, as beta' = beta^(B'/B) (Marek et al.
2025, arXiv 2507.07101). Decoupled weight decay forgets the initial weights over 1 / (lr
weight_decay) steps, or B / (lr weight_decay) examples (Bergsma et al. 2025, arXiv 2505.13738).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from study.config.space import Hyperparameter, Space, ends
from study.errors import StudyError


@dataclass(frozen=True, kw_only=True, slots=True)
class Coordinate:
    """A key of `search.space` that stands for a hyperparameter."""

    hyperparameter: str
    # the hyperparameter as a function of the coordinate, the batch size and the learning rate
    value: Callable[[float, int, float], float]


def _half_life(name: str) -> Coordinate:
    return Coordinate(
        hyperparameter=name, value=lambda examples, batch_size, lr: 0.5 ** (batch_size / examples)
    )


EMA_HALF_LIFE = "ema_half_life"
DECAY_TIME = "weight_decay_time"
COORDINATES: Mapping[str, Coordinate] = {
    **{f"{name}_half_life": _half_life(name) for name in ("momentum", "beta1", "beta2")},
    EMA_HALF_LIFE: _half_life("ema_decay"),
    DECAY_TIME: Coordinate(
        hyperparameter="weight_decay",
        value=lambda examples, batch_size, lr: batch_size / (lr * examples),
    ),
}
EXAMPLES = Hyperparameter(default=20_000.0, low=0.0, low_open=True)
"""Domain of a coordinate."""


def replaced(names: Iterable[str]) -> tuple[str, ...]:
    """Return the hyperparameters that follow from coordinates among these names.

    >>> replaced(["lr", "beta2_half_life"])
    ('beta2',)
    """
    return tuple(COORDINATES[name].hyperparameter for name in names if name in COORDINATES)


def complete(values: Mapping[str, float], batch_size: int) -> dict[str, float]:
    """Return the values of a point, including hyperparameters that follow from coordinates.

    >>> complete({"lr": 0.1, "beta2_half_life": 22_170}, 256)["beta2"]  # 0.999 at 32
    0.9920...
    """
    followed = {
        COORDINATES[name].hyperparameter: COORDINATES[name].value(value, batch_size, values["lr"])
        for name, value in values.items()
        if name in COORDINATES
    }
    return {**values, **followed}


def refuse_coordinates(space: Space, batch_sizes: Iterable[int], *, federated: bool) -> None:
    """Refuse coordinates in a federated study, or a decay to nothing within one step."""
    named = [name for name in space if name in COORDINATES]
    if federated and named:
        raise StudyError(
            f"search.space.{named[0]} must be left out in a federated study, got "
            f"{space[named[0]]!r}: clients are averaged per round, not per batch; give "
            f"{COORDINATES[named[0]].hyperparameter} itself"
        )
    entry, most = space.get(DECAY_TIME), max(batch_sizes)
    if entry is not None and ends(entry)[0] <= most:
        raise StudyError(
            f"search.space.{DECAY_TIME} must exceed the largest batch size, {most:,} examples, got "
            f"{entry!r}: one step would decay the weights to nothing; raise it"
        )
