"""The batch sizes of a study, those that its sweep may add, and budgets too small for them."""

from collections.abc import Sequence

from study.config.batch_sizes import BatchSizes, spread
from study.config.study import ResolvedStudy, StudyConfig
from study.errors import StudyError

UNLIMITED_TO = 65_536
"""Meaning of `batch_sizes.to = "all"` if the data never end (Shallue et al. 2018)."""


def batch_sizes_of(
    config: StudyConfig, examples: int | None
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Return the initial batch sizes, and all candidates if the sweep chooses among them.

    Args:
        config: the study file with its defaults.
        examples: number of training examples; None if the data never end.

    Raises:
        StudyError: they are too large, or a sweep that chooses has no `until`.
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
            'batch_sizes = "auto" needs until, which says how precisely to estimate b_crit, got '
            "none; add until.b_crit = 0.15, say, or list the batch sizes"
        )
    return spread(sizes), sizes


def refuse_short_budgets(study: ResolvedStudy, batch_sizes: Sequence[int]) -> None:
    """Refuse a budget of data that a single step would exceed."""
    race, tokens = study.race, study.tokens_per_example
    key = "race.max_examples" + (f" (race.max_tokens / {tokens:,})" if tokens else "")
    budgets = {key: race.max_examples}
    if race.max_epochs is not None and study.examples is not None:
        budgets["race.max_epochs"] = int(race.max_epochs * study.examples)
    for key, budget in budgets.items():
        steps = {size: study.examples_per_step(size) for size in batch_sizes}
        short = [size for size in batch_sizes if budget is not None and steps[size] > budget]
        if short:
            raise StudyError(
                f"{key} must allow at least one step, got {budget:,} examples, which are fewer "
                f"than a step uses at batch size {', '.join(map(str, short))}; raise "
                f"it to {steps[short[-1]]:,} examples, or leave out these batch sizes"
            )
