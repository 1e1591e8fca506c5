"""The meaning of a program's exit code other than 0."""

import signal

from study.engine.programs.saved import End

MAX_STARTS = 3
"""How often a program is started if it is killed from outside each time."""
_OUTSIDE = {
    number.value: number.name
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
}
"""Signals with which users, batch systems, or a system short of memory end a program."""


def broken_down(code: int, where: str, last_lines: str, before: End | None) -> End:
    """Return how a program ended.

    Args:
        code: its exit code, or less than 0 for a signal; not 0.
        where: how far it got.
        last_lines: what it printed last.
        before: how the trial's program was last killed from outside; None if it never was.
    """
    how, again, killed = f"exit code {code}" if code > 0 else f"signal {-code}", "", 0
    # a shell returns 128 plus the signal that ended the program it ran
    if name := _OUTSIDE.get(-code if code < 0 else code - 128):
        killed = 1 + (before.killed if before else 0)
        memory = ", by a user or for lack of memory: then use fewer --workers"
        how += f" ({name} from outside{memory if name == 'SIGKILL' else ''})"
        again = f", killed from outside at each of {killed} starts" if killed > 1 else ""
    return End(f"the program ended with {how} {where}{again}; {last_lines}", killed=killed)
