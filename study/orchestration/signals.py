"""How a sweep ends before its work is done: asked by a signal, or because Ray died under it.

The parts are the only state, so that ending at once is always safe; all else here is to end soon,
to say how to go on, and to leave no process behind.
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

RESUME_HINT = "what is recorded stays, and the same command goes on from there"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_MARK = "BATCHSCALE_SWEEP"
_DAEMONS = ("raylet", "gcs_server")
_SHOW_CURSOR = b"\x1b[?25h"
# The kernel ends Ray's daemons together with the process that started them; their own helpers wait
# a minute for the dead. A line from the sweep is its orderly end, the end of the pipe its death.
# A helper that has set its title has overwritten its environment with it.
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
    """Whether somebody asked the sweep to stop; the second time ends the process at once."""

    def __init__(self, wakeups: int | None = None) -> None:
        """Starts with nobody having asked.

        Args:
            wakeups: where to read the numbers of signals as they come, without waiting.
        """
        self._signal: int | None = None
        self._wakeups = wakeups

    @property
    def requested(self) -> bool:
        """Whether Ctrl-C or SIGTERM came."""
        return self._signal is not None

    @property
    def exit_code(self) -> int:
        """What a shell gives for a command that the signal ended: 130 for Ctrl-C, 143 for SIGTERM.

        1 before any came.
        """
        return 1 if self._signal is None else 128 + self._signal

    def listen(self) -> None:
        """Takes the signals; `ray.init` takes SIGTERM away."""
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as in a shell's background
                signal.signal(number, self._receive)

    def catch_up(self) -> None:
        """Notes a signal that Python's main thread, busy elsewhere, has not been able to take."""
        if self._signal is None and self._wakeups is not None:
            with contextlib.suppress(BlockingIOError):  # none came
                came = os.read(self._wakeups, 64)
                self._signal = next((number for number in came if number in _SIGNALS), None)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            leave(self.exit_code, f"ended at once; {RESUME_HINT}")
        self._signal = number
        _say("stopping: cohorts have ten seconds to end and be recorded; once more ends at once")


@contextlib.contextmanager
def listening() -> Iterator[Stop]:
    """Takes Ctrl-C and SIGTERM as requests to stop while the body runs.

    Yields:
        Whether one came.
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    wakeups, written = os.pipe()
    os.set_blocking(wakeups, False)
    os.set_blocking(written, False)
    whose = signal.set_wakeup_fd(written, warn_on_full_buffer=False)
    stop = Stop(wakeups)
    stop.listen()
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(whose)
        os.close(wakeups)
        os.close(written)


def leave(code: int, message: str) -> NoReturn:
    """Ends the process here and now, from any thread; what Ray started ends with it.

    Args:
        code: exit code, 1 to 255.
        message: one line that says why, and how to go on.
    """
    _say(message)
    if sys.stdout.isatty():
        os.write(sys.stdout.fileno(), _SHOW_CURSOR)  # the live table hid it
    os._exit(code)


@contextlib.contextmanager
def no_orphans(folder: Path) -> Iterator[None]:
    """Has what Ray starts in the body ended soon after this process, however it ends.

    Only on Linux; elsewhere Ray starts a reaper of its own.

    Args:
        folder: where Ray is started, by this sweep alone.

    Yields:
        Nothing.
    """
    if sys.platform != "linux":
        yield
        return
    mark = uuid4().hex
    words = ["sh", "-c", _GUARD, "sh", f"{_MARK}={mark}", str(folder.resolve())]
    # in a session of its own, where neither Ctrl-C nor the end of a terminal reaches it
    guard = subprocess.Popen(
        words,
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
    """Ends the process with a message when Ray dies on this machine while the body runs.

    Ray by itself goes on for 15 to 60 s, and then ends the process without a word on what to do.

    Args:
        stop: whether this end was asked for.

    Yields:
        Nothing.
    """
    orderly = threading.Event()

    def wait(pid: int, name: str) -> None:
        with contextlib.suppress(ChildProcessError):  # Ray has looked first
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        if orderly.is_set():
            return
        stop.catch_up()  # a signal to the whole process group ends Ray too
        why = "stopped, and Ray with it" if stop.requested else f"ended: Ray's {name} died"
        leave(stop.exit_code, f"the sweep {why}; {RESUME_HINT}")

    for pid, name in _ray_daemons():
        threading.Thread(target=wait, args=(pid, name), daemon=True).start()
    try:
        yield
    finally:
        orderly.set()


def _ray_daemons() -> list[tuple[int, str]]:
    """Gives number and name of the daemons that this process has started; none but on Linux."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            name, _, rest = (process / "stat").read_text().partition("(")[2].rpartition(")")
            if name in _DAEMONS and int(rest.split()[1]) == os.getpid():
                found.append((int(process.name), name))
    return found


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # a terminal that is gone
        # past Python's buffers, in the middle of which a signal may have struck
        os.write(2, f"\n{line}\n".encode())
