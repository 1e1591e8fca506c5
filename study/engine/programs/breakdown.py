"""What a program's exit code means, where it is not 0."""

import signal

from study.engine.programs.saved import End

MOST_STARTS = 3
"""How often a program is started that is killed from outside each time."""
_OUTSIDE = {
    number.value: number.name
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
}
"""Signals by which users, batch systems and a system without memory end a program."""


def broken_down(code: int, where: str, last_lines: str, before: End | None) -> End:
    """Return how a program ended.

    Args:
        code: its exit code, or less than 0 for a signal; not 0.
        where: how far it came.
        last_lines: what it printed last.
        before: how the trial's program was killed from outside before; None if it never was.
    """
    how, again, killed = f"exit code {code}" if code > 0 else f"signal {-code}", "", 0
    # a shell that runs a program gives 128 and the signal by which that has ended
    if name := _OUTSIDE.get(-code if code < 0 else code - 128):
        killed = 1 + (before.killed if before else 0)
        memory = ", by a user or for lack of memory: then use fewer --workers"
        how += f" ({name} from outside{memory if name == 'SIGKILL' else ''})"
        again = f", killed from outside at each of {killed} starts" if killed > 1 else ""
    return End(f"the program ended with {how} {where}{again}; {last_lines}", killed=killed)
