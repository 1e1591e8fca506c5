"""Trials that failed, in sentences."""

from collections.abc import Iterable


def failure_sentences(trials: Iterable[tuple[int, str, str]]) -> tuple[str, ...]:
    """Return one sentence for each batch size at which trials failed, with the first error.

    Args:
        trials: batch size, status and message of every trial.

    >>> failure_sentences([(4, "failed", "RuntimeError: no"), (4, "reached", "")])
    ('B = 4: 1 of 2 trials failed, the first with "RuntimeError: no".',)
    """
    messages: dict[int, list[str]] = {}
    counts: dict[int, int] = {}
    for size, status, message in trials:
        counts[size] = counts.get(size, 0) + 1
        if status == "failed":
            messages.setdefault(size, []).append(message)
    return tuple(
        f"B = {size}: {len(found)} of {counts[size]} trials failed, the first with "
        f'"{found[0].partition(chr(10))[0]}".'
        for size, found in sorted(messages.items())
    )
