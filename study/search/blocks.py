"""Cohorts that have not been handed out yet."""

from dataclasses import dataclass

from study.records import Point, Region, Role

Key = tuple[Role, int]
"""Role and number of a cohort."""


@dataclass(frozen=True, slots=True)
class Block:
    """A planned cohort."""

    role: Role  # of its trials
    trials: range  # their numbers
    region: Region | None = None  # where the points of an extension are sampled
    points: tuple[Point, ...] = ()  # of replicates and recipes; the search proposes the others
    held_to: int | None = None  # steps that limit replicates; None for other trials

    @property
    def key(self) -> Key:
        """What identifies the cohort within its batch size."""
        return self.role, self.trials.start


def missing_blocks(trials: range, lanes: int, have: set[int]) -> list[range]:
    """Return the missing trials as cohorts of at most `lanes` trials.

    No cohort crosses a multiple of `lanes`, counted from the first trial. So a study that grew has
    the same cohorts as one planned at once.

    >>> missing_blocks(range(10), 4, {0, 1, 2, 3, 4})
    [range(5, 8), range(8, 10)]
    """
    blocks: list[range] = []
    for trial in trials:
        if trial in have:
            continue
        if blocks and blocks[-1].stop == trial and (trial - trials.start) % lanes:
            blocks[-1] = range(blocks[-1].start, trial + 1)
        else:
            blocks.append(range(trial, trial + 1))
    return blocks
