"""What plug-ins ask of clocks, files and the process, whose answers follow from no seed."""

import datetime
import dis
import sys
from types import FrameType, TracebackType
from typing import Any, Self

from workloads.errors import WorkloadError
from workloads.examination.authors import OURS, written_by_the_author

_HARMLESS = {
    *("sleep", "mktime", "strptime"),
    *("fspath", "strerror", "_path_normpath", "_path_splitroot", "_path_splitroot_ex"),
    *("isatty", "get_terminal_size"),  # what a progress bar asks
    *("cpu_count", "sched_getaffinity"),  # how many threads
}
"""Functions that answer from their arguments alone, or of the terminal or the processor."""
_OF_THEIR_TIME = {"gmtime": 1, "asctime": 1, "strftime": 2}
"""Functions that ask no clock if they are given a time: with so many arguments."""
_FILES = {"posix", "nt", "_socket"}
_PROCESS = {"getpid", "getppid", "urandom", "getrandom", "getloadavg"}
"""Functions of these modules that tell nothing of files."""
_NOW = {"today", "now", "utcnow"}
_UNASKED = {
    *("importlib", "inspect", "linecache", "logging", "traceback", "warnings"),
    *("concurrent", "multiprocessing", "queue", "tempfile", "threading"),
    *("gzip", "zipfile"),  # which write the time into a header
}
"""Modules of Python that look at files and clocks for their own ends, or call what does."""


class Reads:
    """A context in which the author's code is watched for what it asks the world outside."""

    def __init__(self, *, files: bool = True) -> None:
        """Begin with none; without `files`, those may be read."""
        self._files = files
        self.found: list[str] = []  # the calls so far, as `loss in file.py calls time.time`
        self._watching = False

    def __enter__(self) -> Self:
        """Watch this thread, unless a profiler does already."""
        self._watching = sys.getprofile() is None
        if self._watching:
            sys.setprofile(self._notice)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Watch no longer."""
        if self._watching:
            sys.setprofile(None)

    def refuse(self) -> None:
        """Refuse what asks for more than it is given.

        Raises:
            WorkloadError: it does.
        """
        if self.found:
            raise WorkloadError(
                "results must follow from the study, its data and seeds alone, but "
                f"{self.found[0]}, which answers otherwise at another time or on another worker; "
                "take it out (a file can be read once, in __init__ or data(); for time stamps in "
                "what is printed use Python's logging, which may ask)"
            )

    def _notice(self, frame: FrameType, event: str, called: Any) -> None:
        name = _outside(called, self._files) if event == "c_call" else None
        author = None if name is None or _gives_a_time(frame, called) else _author(frame)
        if author is not None:
            self.found.append(f"{author.f_code.co_qualname} calls {name}")


def _gives_a_time(frame: FrameType, called: Any) -> bool:
    """Return whether a function is called that asks no clock, since it is given a time."""
    least = _OF_THEIR_TIME.get(called.__name__)
    operation, count = frame.f_code.co_code[frame.f_lasti : frame.f_lasti + 2]
    known = not dis.opname[operation].startswith("CALL_FUNCTION_EX")  # call(*arguments)
    return called.__module__ == "time" and least is not None and known and count >= least


def _outside(called: Any, files: bool) -> str | None:
    """Return the name of a function that asks the world outside; None for any other."""
    name, kind, module = called.__name__, getattr(called, "__self__", None), called.__module__
    if isinstance(kind, type) and issubclass(kind, datetime.date) and name in _NOW:
        return f"{kind.__name__}.{name}"
    if called is open:
        return "open" if files else None
    asks = module == "time" or (module in _FILES and (files or name in _PROCESS))
    return f"{module.replace('posix', 'os')}.{name}" if asks and name not in _HARMLESS else None


def _author(frame: FrameType | None) -> FrameType | None:
    """Return the frame of the author's that asked, itself or through Python's own modules.

    None where it was asked for by a module of Python that may, as a formatter is by `logging`.
    """
    author: FrameType | None = None
    while frame is not None:
        module = sys.modules.get(frame.f_globals.get("__name__", ""))
        package = "" if module is None else module.__name__.partition(".")[0]
        if package in _UNASKED:
            return None
        if package in OURS:
            break
        if author is None and written_by_the_author(module):
            author = frame
        elif author is None and package not in sys.stdlib_module_names:
            break
        frame = frame.f_back
    return author
