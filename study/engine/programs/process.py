"""A running program, no part of which outlives this process, and its output."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import uuid4

_MARK = "BATCHSCALE_PROGRAM"
_HEAD, _TAIL = 2**13, 3 * 2**13
_LINES, _CHARACTERS = 12, 1500
Printed = tuple[Path, Path]
"""Files for a program's output and for its errors."""
# The guard reads a pipe whose other end is open in this process alone. So it wakes when the program
# must be killed, and also when this process dies, however that happens. `torchrun` starts sessions
# of its own, hence the mark in the environment, which every process of a program inherits.
_GUARD = """
read -r group || exit
read -r end
kill -KILL -- "-$group" 2>/dev/null
[ -d /proc/self ] || exit
for round in 1 2 3; do
    left=$(grep -lzxF "$1" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3)
    [ -n "$left" ] || exit
    kill -KILL $left 2>/dev/null
    sleep 0.05
done
"""


class Process:
    """A program in a process group of its own, with every process that it starts."""

    def __init__(
        self, words: Sequence[str], environment: Mapping[str, str], folder: Path, printed: Printed
    ) -> None:
        """Start the program in a folder.

        Its output and its errors go to two files, which keep them if this process dies. An
        `OSError` says that it cannot be started.
        """
        self._mark = f"{_MARK}={uuid4().hex}"
        self._guard = subprocess.Popen(
            ["sh", "-c", _GUARD, "sh", self._mark],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            with printed[0].open("ab") as output, printed[1].open("ab") as errors:
                self._program = subprocess.Popen(
                    words,
                    cwd=folder,
                    env={**environment, _MARK: self._mark.partition("=")[2]},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=errors,
                    start_new_session=True,
                )
        except BaseException:
            self._guard.communicate()
            raise
        assert self._guard.stdin is not None
        self._guard.stdin.write(f"{self._program.pid}\n".encode())
        self._guard.stdin.flush()
        self._kill_at: float | None = None

    @property
    def exit_code(self) -> int | None:
        """Exit code, less than 0 for a signal; None while the program runs."""
        return self._program.poll()

    def memory(self) -> int:
        """Return the sum of the peak bytes of the program's processes; 0 if unknown."""
        total = 0
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # another user's, or it has ended
                if self._mark.encode() in (process / "environ").read_bytes().split(b"\0"):
                    lines = (process / "status").read_text().splitlines()
                    peak = [line for line in lines if line.startswith("VmHWM")]
                    total += sum(1024 * int(line.split()[1]) for line in peak)
        return total

    def end_softly(self, grace: float) -> None:
        """Ask the program to end itself within `grace` >= 0 seconds."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + grace
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._program.pid, signal.SIGTERM)

    @property
    def overdue(self) -> bool:
        """Whether it still runs although its time to end itself is over."""
        expired = self._kill_at is not None and time.monotonic() >= self._kill_at
        return expired and self.exit_code is None

    def close(self) -> None:
        """Kill what remains of the program and of the processes it started."""
        self._guard.communicate()
        self._program.wait()


class Output:
    """The output and the errors of a program in order of arrival, at most 32 KiB of them."""

    def __init__(self) -> None:
        self._head, self._tail, self._left_out = b"", b"", 0

    def add(self, piece: bytes) -> None:
        """Add what the program printed."""
        room = _HEAD - len(self._head)
        self._head += piece[:room]
        tail = self._tail + piece[room:]
        self._left_out += max(0, len(tail) - _TAIL)
        self._tail = tail[-_TAIL:]

    def kept(self) -> bytes:
        """Return what was kept, with a line in place of any gap."""
        if not self._left_out:
            return self._head + self._tail
        gap = f"\n[... {self._left_out:,} bytes left out ...]\n".encode()
        return self._head + gap + self._tail

    def last_lines(self) -> str:
        """Return the last line and, on separate lines, those before it, for a message."""
        text = self.kept().decode("utf-8", errors="replace").replace("\r", "\n")
        lines = [line.rstrip() for line in text.splitlines() if line.strip()]
        if not lines:
            return "it printed nothing"
        last = f"it printed last: {lines[-1].strip()}"[:_CHARACTERS]
        before = "\n".join(lines[-_LINES:-1])[-_CHARACTERS:]
        return f"{last}\nafter:\n{before}" if before else last
