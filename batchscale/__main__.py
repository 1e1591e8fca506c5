"""The command `batchscale`, also as `python -m batchscale`."""

import atexit
import gc
import sys

from batchscale.packages import find_clash

WRONG_INPUT, STOPPED = 2, 130


def main() -> None:
    """Run the command line, unless something else has taken the place of our packages."""
    try:
        clash = find_clash()
        if clash is not None:
            print(f"error: {clash}", file=sys.stderr)
            sys.exit(WRONG_INPUT)
        from study.commands.app import main as run

        # Python would search for garbage at every 700th new object, and trials are made of many
        gc.set_threshold(50_000)
        # at its end Python would search all that torch has made for garbage, which takes a second
        atexit.register(gc.freeze)
        run()
    except KeyboardInterrupt:  # before the commands' own handling of Ctrl-C is there
        sys.exit(STOPPED)


if __name__ == "__main__":
    main()
