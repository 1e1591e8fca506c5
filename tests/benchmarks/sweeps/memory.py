"""Measure the memory of a sweep: of the driver, each worker and Ray's own processes.

The process tree of `batchscale sweep` is sampled five times a second on digits and on
Fashion-MNIST. Three numbers are given for each process, each at its own peak:

RSS: pages that the process has in memory, with shared pages counted in full, so a sum over
     processes counts them repeatedly. It is the kernel's high-water mark, which misses no peak.
PSS: shared pages are divided by the number of processes that share them, so it can be summed.
USS: pages of this process alone, the cost of one more such process.

The total is the largest sum over the tree at one moment. Repeats are interleaved and their medians
shown; of the workers, the largest is shown. Not measured: GPU memory, and the page cache.
"""

import statistics
import tempfile
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from tests.benchmarks import studies
from tests.benchmarks.measuring import (
    MIB,
    Finished,
    Process,
    arguments,
    cores,
    interleaved,
    number,
    positive,
    positives,
    role,
    show,
    write_json,
)

ROLES = ("driver", "worker", "idle worker", "Ray's own")
DEFAULTS = {
    "digits": {"batch_sizes": [4, 64, 1024], "trials": 32, "max_steps": 2000},
    "fashion": {"batch_sizes": [64, 1024, 8192], "trials": 16, "max_steps": 200},
}


def swept(
    workload: str, sizes: Sequence[int] | None, trials: int | None, steps: int | None, workers: int
) -> Finished:
    """Sweep a study while its processes are watched."""
    make, default = studies.WORKLOADS[workload], DEFAULTS[workload]
    data = make(
        sizes or default["batch_sizes"],  # type: ignore[arg-type]
        trials or default["trials"],  # type: ignore[arg-type]
        steps or default["max_steps"],  # type: ignore[arg-type]
    )
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        result = studies.sweep(Path(folder), data, workers=workers, results="results", pss=True)
    return result.finished


def of_role(finished: Finished, which: str) -> list[Process]:
    """Return the processes of a role."""
    root = finished.processes[0].pid
    return [process for process in finished.processes if role(process, root) == which]


def mib(values: Iterable[int | None]) -> str:
    """Write the median of the known numbers of bytes in MiB."""
    known = [value for value in values if value is not None]
    return number(statistics.median(known) / MIB) if known else "-"


def row(workload: str, which: str, ends: Sequence[Finished]) -> list[str]:
    """Return a row: the number of processes of a role, and the largest by each measure."""
    groups = [group for group in (of_role(finished, which) for finished in ends) if group]
    return [
        f"{workload}: {which}",
        f"{statistics.median([len(group) for group in groups] or [0]):.0f}",
        mib(max(process.peak_rss for process in group) for group in groups),
        mib(max(process.peak_pss or 0 for process in group) for group in groups),
        mib(max(process.peak_uss or 0 for process in group) for group in groups),
    ]


def main() -> None:
    parser = arguments(__doc__, repeats=3)
    parser.add_argument("--workload", choices=[*DEFAULTS, "both"], default="both")
    parser.add_argument("--batch-sizes", type=positives, metavar="B,B,...")
    parser.add_argument("--trials", type=positive)
    parser.add_argument("--max-steps", type=positive)
    parser.add_argument("--workers", type=positive, default=cores(), help="default one per core")
    chosen = parser.parse_args()
    names = list(DEFAULTS) if chosen.workload == "both" else [chosen.workload]
    runs = interleaved(
        {
            name: partial(
                swept, name, chosen.batch_sizes, chosen.trials, chosen.max_steps, chosen.workers
            )
            for name in names
        },
        chosen.repeats,
    )
    rows = []
    for name, ends in runs.items():
        rows += [row(name, which, ends) for which in ROLES]
        total = [mib(end.peak_rss for end in ends), mib(end.peak_pss for end in ends)]
        rows.append([f"{name}: all at once", "", *total, ""])
    show(
        f"Peak memory of a sweep, MiB, {chosen.workers} workers",
        ["", "processes", "RSS", "PSS", "USS"],
        rows,
        f"The largest process of its kind; medians of {chosen.repeats} repeats.",
    )
    write_json(chosen, repeats=runs)


if __name__ == "__main__":
    main()
