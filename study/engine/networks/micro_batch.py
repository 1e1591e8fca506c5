"""Work cut into portions that memory holds, found by trial."""

from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")
_MESSAGES = ("out of memory", "not enough memory", "can't allocate memory")


class Portion:
    """How many examples are worked on at once; halves each time that memory runs out."""

    def __init__(self, size: int, least: int = 1) -> None:
        """Starts with a size, which never falls below `least` >= 1."""
        self.size, self._least = size, least

    def fitting(self, work: Callable[[int], T]) -> T:
        """Does some work in portions that fit.

        Args:
            work: does all of it, at most so many examples at once; must leave its inputs as they
                were when memory runs out.

        Returns:
            What `work` gives.

        Raises:
            RuntimeError: memory runs out for the least portion, or `work` fails otherwise.
            MemoryError: the same.
        """
        while True:
            try:
                return work(self.size)
            except (RuntimeError, MemoryError) as error:
                if self.size <= self._least or not _out_of_memory(error):
                    raise
            # outside the handler, whose traceback would hold on to what did not fit
            self.size = max(self._least, -(-self.size // 2))


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return any(message in str(error).lower() for message in _MESSAGES)
