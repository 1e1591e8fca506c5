"""Measure the cost of orchestration: the fixed start-up of a sweep, and each trial and cohort.

Studies with almost no training are swept with N and with 4 N trials at every batch size. The
difference of their CPU times is the cost of driver, workers, search, parts and tables for 3 N
trials. With one trial per cohort, it gives the cost of a cohort; with 16, as in a real study, the
cost of a trial. The intercept at zero trials is the fixed start-up: imports, Ray, the first worker.

quadratic: one step of the noisy quadratic, a few vector operations.
digits: one step of the small network, which includes building the models.

Times are those of the whole command, from process start to exit. Not measured: training itself.
"""

import statistics
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tests.benchmarks import studies
from tests.benchmarks.measuring import (
    Finished,
    arguments,
    cores,
    interleaved,
    number,
    positive,
    positives,
    show,
    spread,
    write_json,
)

FACTOR = 4


def line(few: Sequence[float], many: Sequence[float], at: int, then: int) -> tuple[float, float]:
    """Return the intercept and slope of the line through the medians at two numbers of trials."""
    low, high = statistics.median(few), statistics.median(many)
    slope = (high - low) / (then - at)
    return low - slope * at, slope


def swept(workload: str, sizes: Sequence[int], trials: int, lanes: int, workers: int) -> Finished:
    """Sweep a study of one step per trial, with `lanes` trials per cohort."""
    data = studies.WORKLOADS[workload](sizes, trials, 1)
    data["race"]["cohort"] = lanes
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        result = studies.sweep(Path(folder), data, workers=workers, results="results")
        found = studies.cohorts(result.folder)
    wanted = len(sizes) * -(-trials // lanes)
    if len(found) != wanted:
        raise SystemExit(f"{len(found)} cohorts were recorded, not {wanted}")
    return result.finished


def main() -> None:
    parser = arguments(__doc__, repeats=3)
    parser.add_argument("--workload", choices=["quadratic", "digits"], default="quadratic")
    parser.add_argument("--batch-sizes", type=positives, default=[16, 256], metavar="B,B,...")
    parser.add_argument(
        "--cohorts", type=positive, default=32, help="N / lanes at each batch size; default 32"
    )
    parser.add_argument("--lanes", type=positive, default=16, help="trials per cohort; default 16")
    parser.add_argument("--workers", type=positive, default=cores(), help="default one per core")
    chosen = parser.parse_args()

    cases: dict[str, Callable[[], Finished]] = {}
    trials: dict[str, int] = {}
    kinds = list(dict.fromkeys([1, chosen.lanes]))
    for lanes in kinds:
        for factor in (1, FACTOR):
            count = lanes * chosen.cohorts * factor
            name = f"{count * len(chosen.batch_sizes):,} trials, {lanes} to a cohort"
            trials[name] = count
            cases[name] = partial(
                swept, chosen.workload, chosen.batch_sizes, count, lanes, chosen.workers
            )
    runs = interleaved(cases, chosen.repeats)
    seconds = {name: [finished.seconds for finished in ends] for name, ends in runs.items()}
    cpu = {name: [finished.cpu_seconds for finished in ends] for name, ends in runs.items()}

    names, sizes = list(cases), len(chosen.batch_sizes)
    rows, slopes = [], {}
    for index, lanes in enumerate(kinds):
        few, many = names[2 * index : 2 * index + 2]
        at, then = trials[few] * sizes, trials[many] * sizes
        fixed, slope = line(cpu[few], cpu[many], at, then)
        slopes[f"{lanes} to a cohort"] = {
            "start_up_cpu_seconds": fixed,
            "cpu_seconds_per_trial": slope,
            "cpu_seconds_per_cohort": slope * lanes,
        }
        rows.append(
            [
                f"{lanes} to a cohort: {at:,} and {then:,} trials",
                str(spread(seconds[few])),
                str(spread(seconds[many])),
                number(fixed),
                number(1e3 * slope * lanes),
                number(1e3 * slope),
            ]
        )
    show(
        f"Orchestration, {chosen.workload}, one step per trial, {sizes} batch sizes, "
        f"{chosen.workers} workers",
        ["", "fewer, s", "more, s", "start-up, CPU s", "per cohort, CPU ms", "per trial, CPU ms"],
        rows,
        f"Medians of {chosen.repeats} interleaved repeats (least to most) of the whole command.",
    )
    write_json(chosen, lines=slopes, repeats=runs)


if __name__ == "__main__":
    main()
