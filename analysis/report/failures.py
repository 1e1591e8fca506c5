"""Trials that failed, in words."""

from collections.abc import Iterable


def failure_sentences(trials: Iterable[tuple[int, str, str]]) -> tuple[str, ...]:
    """Says at which batch sizes trials failed, and what the first of each said.

    Args:
        trials: batch size, status and message of every trial.

    Returns:
        One sentence for each of the batch sizes, in rising order.

    >>> failure_sentences([(4, "failed", "RuntimeError: no"), (4, "reached", "")])
    ('B = 4: 1 of 2 trials failed, the first by "RuntimeError: no".',)
    """
    messages: dict[int, list[str]] = {}
    counts: dict[int, int] = {}
    for size, status, message in trials:
        counts[size] = counts.get(size, 0) + 1
        if status == "failed":
            messages.setdefault(size, []).append(message)
    return tuple(
        f'B = {size}: {len(said)} of {counts[size]} trials failed, the first by "{_line(said[0])}".'
        for size, said in sorted(messages.items())
    )


def _line(message: str) -> str:
    return next(iter(message.splitlines()), "")
