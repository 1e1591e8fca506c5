"""The command `batchscale`, also as `python -m batchscale`."""

import atexit
import gc
import sys

from batchscale.packages import find_clash

WRONG_INPUT, STOPPED = 2, 130


def main() -> None:
    """Run the command line, unless other packages shadow or replaced ours."""
    try:
        clash = find_clash()
        if clash is not None:
            print(f"error: {clash}", file=sys.stderr)
            sys.exit(WRONG_INPUT)
        from study.commands.app import main as run

        # by default Python collects garbage every 700 new objects, and trials consist of many
        gc.set_threshold(50_000)
        # at exit Python would collect garbage among all objects of torch, which takes a second
        atexit.register(gc.freeze)
        run()
    except KeyboardInterrupt:  # before the commands handle Ctrl-C themselves
        sys.exit(STOPPED)


if __name__ == "__main__":
    main()
