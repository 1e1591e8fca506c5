"""Early ends of a sweep: a signal requests a stop, or Ray dies.

The parts are the only state, so ending at once is always safe. This module makes a sweep end soon,
say how to resume, and leave no process behind.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn
from uuid import uuid4

RESUME_HINT = "results are saved; run the same command to resume"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_MARK = "BATCHSCALE_SWEEP"
_DAEMONS = ("raylet", "gcs_server")
_SHOW_CURSOR = b"\x1b[?25h"
# The kernel ends Ray's daemons with the process that started them, but their child processes linger
# for a minute. The guard reads a pipe: a line means that the sweep ended normally, the end of the
# pipe that it died. Ray's workers overwrite their environment with their process title, so they are
# recognized by their working directory.
_GUARD = """
read -r line && exit
sleep 1
for process in /proc/[0-9]*; do
    read -r name <"$process/comm" || continue
    case $name in
        ray::*) [ "$(readlink "$process/cwd")" = "$2" ] ;;
        *) grep -qzxF "$1" "$process/environ" ;;
    esac && kill -KILL "${process#/proc/}"
done
"""


class Stop:
    """A request to stop, made by a signal; a second signal ends the process at once."""

    def __init__(self, wakeups: int | None = None) -> None:
        """Start without a request; `wakeups` yields the number of each signal without blocking."""
        self._signal: int | None = None
        self._wakeups = wakeups

    @property
    def requested(self) -> bool:
        """Whether Ctrl-C or SIGTERM arrived, or the terminal was closed."""
        return self._signal is not None

    @property
    def exit_code(self) -> int:
        """Exit code by shell convention, such as 130 after Ctrl-C; 1 without a signal."""
        return 1 if self._signal is None else 128 + self._signal

    def listen(self) -> None:
        """Install the signal handlers; `ray.init` replaces the one for SIGTERM."""
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # ignored in background jobs
                signal.signal(number, self._receive)

    def catch_up(self) -> None:
        """Note a signal whose handler has not run yet because the main thread is busy."""
        if self._signal is None and self._wakeups is not None:
            with contextlib.suppress(BlockingIOError):  # no signal
                received = os.read(self._wakeups, 64)
                self._signal = next((n for n in received if n in SIGNALS), None)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            leave(self.exit_code, f"quit; {RESUME_HINT}")
        self._signal = number
        _print_line(
            "stopping: saving the cohorts in training takes up to twenty seconds; press Ctrl-C "
            "again to quit now"
        )


@contextlib.contextmanager
def listening() -> Iterator[Stop]:
    """Treat Ctrl-C, SIGTERM and a closed terminal as requests to stop while the body runs."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    wakeups, written = os.pipe()
    os.set_blocking(wakeups, False)
    os.set_blocking(written, False)
    previous = signal.set_wakeup_fd(written, warn_on_full_buffer=False)
    stop = Stop(wakeups)
    stop.listen()
    try:
        yield stop
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(previous)
        os.close(wakeups)
        os.close(written)


def ignore_signals() -> None:
    """Ignore further requests to stop: this process has stopped and is about to exit."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def outliving_terminal() -> Iterator[None]:
    """Make processes started in the body outlive the terminal."""
    handler = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # child processes inherit it
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, handler)


def leave(code: int, message: str) -> NoReturn:
    """End this process at once with a message, from any thread; Ray's processes end with it."""
    _print_line(message)
    if sys.stdout is not None and sys.stdout.isatty():
        os.write(sys.stdout.fileno(), _SHOW_CURSOR)  # the live table hid it
    os._exit(code)


@contextlib.contextmanager
def no_orphans(folder: Path) -> Iterator[None]:
    """Make sure that processes started by Ray in the body end soon after this one, even if killed.

    Linux only; elsewhere Ray starts its own reaper. `folder` is the working directory of Ray's
    workers, used by this sweep alone.
    """
    if sys.platform != "linux":
        yield
        return
    mark = uuid4().hex
    command = ["sh", "-c", _GUARD, "sh", f"{_MARK}={mark}", str(folder.resolve())]
    # its own session: neither Ctrl-C nor the end of the terminal reaches the guard
    guard = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.environ[_MARK] = mark
    try:
        yield
    finally:
        del os.environ[_MARK]
        guard.communicate(b"end\n")


@contextlib.contextmanager
def ray_watched(stop: Stop) -> Iterator[None]:
    """End this process with a message if Ray dies on this machine while the body runs.

    Ray itself would notice after 15 to 60 s, and end the process without saying how to resume.
    """
    orderly = threading.Event()

    def wait(pid: int, name: str) -> None:
        with contextlib.suppress(ChildProcessError):  # Ray has already reaped it
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        if orderly.is_set():
            return
        stop.catch_up()  # a signal to the whole process group ends Ray too
        why = "was stopped, and Ray with it" if stop.requested else f"failed: Ray's {name} died"
        leave(stop.exit_code, f"the sweep {why}; {RESUME_HINT}")

    for pid, name in _ray_daemons():
        threading.Thread(target=wait, args=(pid, name), daemon=True).start()
    try:
        yield
    finally:
        orderly.set()


def _ray_daemons() -> list[tuple[int, str]]:
    """Return the process IDs and names of the Ray daemons of this process; Linux only."""
    daemons = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # the process has ended
            name, _, rest = (process / "stat").read_text().partition("(")[2].rpartition(")")
            if name in _DAEMONS and int(rest.split()[1]) == os.getpid():
                daemons.append((int(process.name), name))
    return daemons


def _print_line(line: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may be gone
        # unbuffered: the signal may have interrupted a write to Python's buffer
        os.write(2, f"\n{line}\n".encode())
