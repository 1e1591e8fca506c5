"""Micro-batches that fit into memory, found by trial and error."""

from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")
_MESSAGES = ("out of memory", "not enough memory", "can't allocate memory")


class MicroBatch:
    """Number of examples processed at once; halved each time memory runs out."""

    def __init__(self, size: int, minimum: int = 1) -> None:
        """Start with a size that never falls below `minimum` >= 1."""
        self.size, self._minimum = size, minimum

    def run(self, work: Callable[[int], T]) -> T:
        """Return the result of `work(size)`, repeated with smaller sizes while memory runs out.

        `work` processes all examples, at most `size` at once, and must leave its inputs unchanged
        when memory runs out.

        Raises:
            RuntimeError: memory runs out at the minimum size, or `work` fails otherwise.
            MemoryError: memory runs out at the minimum size.
        """
        while True:
            try:
                return work(self.size)
            except (RuntimeError, MemoryError) as error:
                if self.size <= self._minimum or not _out_of_memory(error):
                    raise
            # outside the handler, whose traceback would keep the large tensors alive
            self.size = max(self._minimum, -(-self.size // 2))


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return any(message in str(error).lower() for message in _MESSAGES)
