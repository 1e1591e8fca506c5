"""Failed trials as plain data and in sentences."""

from collections.abc import Iterable, Mapping
from typing import Any


def failure_records(trials: Iterable[tuple[int, str, str]]) -> list[dict[str, Any]]:
    """Return a record with the first error for each batch size at which trials failed.

    The trials are given as batch size, status and message.
    """
    messages: dict[int, list[str]] = {}
    counts: dict[int, int] = {}
    for size, status, message in trials:
        counts[size] = counts.get(size, 0) + 1
        if status == "failed":
            messages.setdefault(size, []).append(message)
    return [
        {"batch_size": size, "failed": len(own), "trials": counts[size], "message": own[0]}
        for size, own in sorted(messages.items())
    ]


def failure_sentences(records: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return one sentence for each of the `failure_records`.

    >>> failure_sentences(failure_records([(4, "failed", "RuntimeError: no"), (4, "reached", "")]))
    ('B = 4: 1 of 2 trials failed, the first with "RuntimeError: no".',)
    """
    return tuple(
        f"B = {at['batch_size']}: {at['failed']} of {at['trials']} trials failed, the first with "
        f'"{at["message"].partition(chr(10))[0]}".'
        for at in records
    )


def retry_sentence(folder: object) -> str:
    """Return a sentence on how to run the failed trials of a sweep again."""
    return (
        f"Failed trials are kept. To run them again, delete the files of their cohorts, "
        f"{folder}/parts/b<batch size>-*<first trial>.parquet, and sweep again."
    )
