"""The batch sizes of a study, and those among which its sweep may choose."""

from study.config.batch_sizes import BatchSizes, spread
from study.config.study import StudyConfig
from study.errors import StudyError

UNLIMITED_TO = 65_536
"""Meaning of `batch_sizes.to = "all"` if the data never end (Shallue et al. 2018)."""


def batch_sizes_of(
    config: StudyConfig, examples: int | None
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Return the batch sizes with which a study begins, and all, where its sweep chooses.

    Args:
        config: the study file with its defaults.
        examples: number of training examples; None if the data never end.

    Raises:
        StudyError: they are too large, or for a sweep that chooses nothing says how far it goes.
    """
    if config.race.max_epochs is not None and examples is None:
        raise StudyError(
            "race.max_epochs needs a known number of training examples, got "
            f"{config.race.max_epochs:g}; set race.max_steps instead, or for a program "
            "workload_options.examples"
        )
    given, sizes = config.batch_sizes, config.batch_sizes
    if isinstance(sizes, BatchSizes):
        try:
            sizes = sizes.expand(examples or UNLIMITED_TO)
        except ValueError as error:
            raise StudyError(str(error)) from error
    assert isinstance(sizes, tuple)  # "auto" is a table by now
    if examples is not None and sizes[-1] > examples:
        raise StudyError(
            f"batch_sizes must not exceed the {examples:,} training examples, got {sizes[-1]:,}; "
            "drop it or choose a larger workload"
        )
    if not (isinstance(given, BatchSizes) and given.auto):
        return sizes, None
    if config.until is None:
        raise StudyError(
            'batch_sizes = "auto" needs until, which says how well b_crit is to be known, got '
            "none; add until.b_crit = 0.15, say, or list the batch sizes"
        )
    return spread(sizes), sizes
