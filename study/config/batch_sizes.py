"""Batch sizes between two ends, and the initial ones of a sweep that chooses among them."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from study.config.sections import BatchSize, Section, kind_of
from study.config.space import Flag

_INITIAL = 4
"""Number of batch sizes that a sweep begins with: one more than a fit needs."""


class BatchSizes(Section):
    """Powers of two from `from` to `to`, and both ends."""

    first: BatchSize = Field(default=2, alias="from")
    """Smallest batch size."""
    last: Annotated[
        Annotated[Literal["all"], Tag("<'all'>")] | Annotated[BatchSize, Tag("<number>")],
        Discriminator(kind_of),
    ] = Field(default="all", alias="to")
    """Largest batch size; "all" is the training set (65,536 if the data never end)."""
    auto: Flag = False
    """Whether a sweep with `until` starts with four of them and adds the most informative."""

    def expand(self, largest: int) -> tuple[int, ...]:
        """Return the batch sizes in rising order; `largest` replaces "all"."""
        last = largest if self.last == "all" else self.last
        if last < self.first:
            raise ValueError(
                f"`batch_sizes.to` must be at least `batch_sizes.from`, got {last} and "
                f"{self.first}; swap them"
            )
        powers = {2**k for k in range(last.bit_length()) if self.first <= 2**k <= last}
        return tuple(sorted(powers | {self.first, last}))


def spread(candidates: Sequence[int]) -> tuple[int, ...]:
    """Return the initial batch sizes of a sweep that chooses, away from the ends, which cost most.

    >>> spread([2, 4, 8, 16, 32, 64, 128, 256, 512, 1024])
    (4, 16, 128, 512)
    >>> spread([1, 2, 4, 8, 16])
    (2, 4, 8, 16)
    """
    places = ((2 * at + 1) / (2 * _INITIAL) for at in range(_INITIAL))
    # round halves up, so that no two coincide
    chosen = {candidates[int((len(candidates) - 1) * place + 0.5)] for place in places}
    return tuple(sorted(chosen))
