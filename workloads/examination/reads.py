"""Reads of clocks, files and the process by plug-ins, whose results depend on no seed."""

import datetime
import dis
import random
import sys
from types import FrameType
from typing import Any, Self

import torch

from workloads.errors import WorkloadError
from workloads.examination.authors import OURS, written_by_the_author

_HARMLESS = {
    *("sleep", "mktime", "strptime"),
    *("fspath", "strerror", "_path_normpath", "_path_splitroot", "_path_splitroot_ex"),
    *("isatty", "get_terminal_size"),  # for a progress bar
    *("cpu_count", "sched_getaffinity"),  # for a number of threads
}
"""Functions of their arguments alone, or of the terminal or the processor."""
_FORMATTERS = {"gmtime": 1, "asctime": 1, "strftime": 2}
"""Functions that read no clock if given a time, with the number of arguments that includes it."""
_FILES = {"posix", "nt", "_socket"}
_PROCESS = {"getpid", "getppid", "urandom", "getrandom", "getloadavg"}
"""Functions of these modules that do not concern files."""
_NOW = {"today", "now", "utcnow"}
_EXEMPT = {
    *("importlib", "inspect", "linecache", "logging", "traceback", "warnings"),
    *("concurrent", "multiprocessing", "queue", "tempfile", "threading"),
    *("gzip", "zipfile"),  # which write the time into a header
}
"""Standard modules that use files and clocks for their own purposes, or call what does."""


class Reads:
    """A context that records when the author's code reads a clock, a file or the process."""

    def __init__(self, *, files: bool = True) -> None:
        """Record reads; `files` says whether those of files too."""
        self._files = files
        self.found: list[str] = []  # the calls so far, as `loss in file.py calls time.time`
        self._watching = False

    def __enter__(self) -> Self:
        """Start profiling this thread, unless it already has a profiler."""
        self._watching = sys.getprofile() is None
        if self._watching:
            sys.setprofile(self._notice)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop profiling."""
        if self._watching:
            sys.setprofile(None)

    def refuse(self) -> None:
        """Raise a `WorkloadError` if anything was read."""
        if self.found:
            raise WorkloadError(
                "results must follow from the study, its data and seeds alone, but "
                f"{self.found[0]}, which gives another result at another time or on another "
                "worker; remove the call (a file can be read once, in __init__ or data(); time "
                "stamps in output can come from Python's logging)"
            )

    def _notice(self, frame: FrameType, event: str, called: Any) -> None:
        if event != "c_call":
            return
        name = _unseeded(frame, called) or _outside(called, self._files)
        author = None if name is None or _is_given_a_time(frame, called) else _author(frame)
        if author is not None:
            self.found.append(f"{author.f_code.co_qualname} calls {name}")


def _unseeded(frame: FrameType, called: Any) -> str | None:
    """Return the name of a generator's method that seeds it from the system; else None."""
    generator = getattr(called, "__self__", None)
    if called.__name__ != "seed":
        return None
    if isinstance(generator, torch.Generator):
        return "torch.Generator.seed"
    # the frame is that of Random.seed(a), which calls the method of its C base class
    unseeded = isinstance(generator, random.Random) and frame.f_locals.get("a") is None
    return "random.Random.seed" if unseeded else None


def _is_given_a_time(frame: FrameType, called: Any) -> bool:
    """Return whether a function of the time module is given a time, and so reads no clock."""
    least = _FORMATTERS.get(called.__name__)
    operation, count = frame.f_code.co_code[frame.f_lasti : frame.f_lasti + 2]
    known = not dis.opname[operation].startswith("CALL_FUNCTION_EX")  # call(*arguments)
    return called.__module__ == "time" and least is not None and known and count >= least


def _outside(called: Any, files: bool) -> str | None:
    """Return the name of a function that reads a clock, a file or the process; else None."""
    name, kind, module = called.__name__, getattr(called, "__self__", None), called.__module__
    if isinstance(kind, type) and issubclass(kind, datetime.date) and name in _NOW:
        return f"{kind.__name__}.{name}"
    if called is open:
        return "open" if files else None
    reads = module == "time" or (module in _FILES and (files or name in _PROCESS))
    return f"{module.replace('posix', 'os')}.{name}" if reads and name not in _HARMLESS else None


def _author(frame: FrameType | None) -> FrameType | None:
    """Return the author's frame that made a call, directly or through standard modules.

    None if the call goes through an exempt module, such as a formatter called by `logging`.
    """
    author: FrameType | None = None
    while frame is not None:
        module = sys.modules.get(frame.f_globals.get("__name__", ""))
        package = "" if module is None else module.__name__.partition(".")[0]
        if package in _EXEMPT:
            return None
        if package in OURS:
            break
        if author is None and written_by_the_author(module):
            author = frame
        elif author is None and package not in sys.stdlib_module_names:
            break
        frame = frame.f_back
    return author
