"""Progress of a study's batch sizes, and the assumed cost of their trials."""

from dataclasses import dataclass

PLATEAU_GUESS = 64
"""Assumed end of perfect scaling of an unknown workload; it only orders the work."""


def expected_cost(batch_size: int) -> float:
    """Return the assumed relative cost of a trial: steps times time per step."""
    # steps fall as 1/B to a plateau; a step costs a constant plus its examples
    steps = 1 / batch_size + 1 / PLATEAU_GUESS
    return steps * (PLATEAU_GUESS + batch_size)


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Numbers of trials racing and waiting at one batch size, and whether none is left."""

    batch_size: int
    racing: int
    waiting: int
    ended: bool = False
