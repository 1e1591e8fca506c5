"""Compare the same sweep with 1 worker and with 2, or with other numbers of workers.

Repeats are interleaved. Two ratios are given: of the whole command, from process start to exit, and
of training alone, from the start of the first cohort's race until the last part is written. The
start is the time at which the cohort's part was written minus the duration of the race, so training
does not include a worker's start-up, but does include waiting for a second worker.

Each worker uses one thread, so more workers than cores do not help. The steps and status of every
trial are also checked to be independent of the number of workers.
Not compared: more than one machine.
"""

import statistics
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks import studies
from tests.benchmarks.measuring import (
    Finished,
    arguments,
    interleaved,
    number,
    positive,
    positives,
    ratio,
    show,
    spread,
    times,
    write_json,
)

DEFAULTS: dict[str, dict[str, Any]] = {
    "digits": {"batch_sizes": [4, 16, 64, 256, 1024], "trials": 96, "max_steps": 4000},
    "fashion": {"batch_sizes": [64, 256, 1024], "trials": 32, "max_steps": 2000},
}


@dataclass(frozen=True, kw_only=True)
class Ended:
    """One sweep: the command, its phases in seconds, and its trials."""

    finished: Finished
    phases: dict[str, float]
    trials: list[dict[str, Any]]


def swept(data: dict[str, Any], workers: int) -> Ended:
    """Sweep a study with a number of workers."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        result = studies.sweep(Path(folder), data, workers=workers, results="results")
        return Ended(
            finished=result.finished,
            phases=studies.phases(result),
            trials=studies.trials(result.folder),
        )


def main() -> None:
    parser = arguments(__doc__, repeats=5)
    parser.add_argument("--workload", choices=list(DEFAULTS), default="digits")
    parser.add_argument("--batch-sizes", type=positives, metavar="B,B,...")
    parser.add_argument("--trials", type=positive)
    parser.add_argument("--max-steps", type=positive)
    parser.add_argument("--workers", type=positives, default=[1, 2], metavar="N,N,...")
    chosen = parser.parse_args()
    for name, value in DEFAULTS[chosen.workload].items():
        if getattr(chosen, name) is None:
            setattr(chosen, name, value)
    make = studies.WORKLOADS[chosen.workload]
    data = make(chosen.batch_sizes, chosen.trials, chosen.max_steps)
    runs = interleaved(
        {str(count): partial(swept, data, count) for count in chosen.workers}, chosen.repeats
    )
    tables = [ended.trials for ends in runs.values() for ended in ends]
    if any(table != tables[0] for table in tables):
        raise SystemExit("the tables differ between runs or numbers of workers")

    whole = {name: [end.finished.seconds for end in ends] for name, ends in runs.items()}
    training = {name: [end.phases["training"] for end in ends] for name, ends in runs.items()}
    first = str(chosen.workers[0])
    ratios = {
        name: {
            "whole": ratio(whole[first], whole[name]),
            "training": ratio(training[first], training[name]),
        }
        for name in runs
    }
    rows = [
        [
            name,
            str(spread(whole[name])),
            times(ratios[name]["whole"]),
            str(spread(training[name])),
            times(ratios[name]["training"]),
            number(statistics.median(end.phases["start-up"] for end in runs[name])),
            number(statistics.median(end.phases["end"] for end in runs[name])),
        ]
        for name in runs
    ]
    show(
        f"{chosen.workload}: {len(chosen.batch_sizes)} batch sizes x {chosen.trials} trials, "
        f"at most {chosen.max_steps:,} steps",
        ["workers", "whole, s", "faster", "training, s", "faster", "start-up, s", "end, s"],
        rows,
        f"Medians of {chosen.repeats} interleaved repeats (least to most); the tables agree.",
    )
    write_json(
        chosen,
        ratios_of_medians=ratios,
        repeats={
            name: [{"finished": end.finished, "phases": end.phases} for end in ends]
            for name, ends in runs.items()
        },
    )


if __name__ == "__main__":
    main()
