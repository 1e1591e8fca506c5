"""Trials that failed, in words."""

from collections.abc import Iterable


def failure_sentences(failed: Iterable[tuple[int, str]]) -> tuple[str, ...]:
    """Says at which batch sizes trials failed, and what the first of each said.

    Args:
        failed: batch size and message of every trial that failed.

    Returns:
        One sentence for each of the batch sizes, in rising order.

    >>> failure_sentences([(4, "RuntimeError: no"), (4, "")])
    ('B = 4: 2 trials failed, the first by "RuntimeError: no".',)
    """
    messages: dict[int, list[str]] = {}
    for size, message in failed:
        messages.setdefault(size, []).append(message)
    return tuple(
        f"B = {size}: {len(said)} {'trials' if len(said) > 1 else 'trial'} failed, the first by "
        f'"{said[0].partition(chr(10))[0]}".'
        for size, said in sorted(messages.items())
    )
