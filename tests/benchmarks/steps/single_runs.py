"""Compare a real training run with the sum of its steps, as `batchscale cost` times them.

At some batch sizes of recorded studies, the fastest trial is trained again, alone, from step 0 to
the step at which it reached the target, with ten measurements on the validation set. The sum is the
number of steps times `step_seconds` plus the number of measurements times `evaluation_seconds`.
Neither includes loading the data or building the model. Steps are timed anew before each run.
"""

import time
from functools import partial
from pathlib import Path

import torch

from analysis.tables.folder import ResultsFolder
from study.config.study import ResolvedStudy
from study.costing.timing import alone, timed_steps
from study.engine.cohort import build_lanes
from study.engine.networks.training import LoadedWorkload, prepare
from study.records import Cohort, TrialResult
from study.replay.recorded import recorded_trials, winners
from study.storage.study_folder import read_study_toml
from tests.benchmarks.measuring import (
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
from workloads.registry import resolve

Timing = dict[str, float]
MEASUREMENTS = 10


def once(
    resolved: ResolvedStudy, trainable: LoadedWorkload, trial: TrialResult, seconds: float
) -> Timing:
    """Return the seconds of a step, of a measurement and of a run, and its counts of both."""
    size, point, steps = trial.batch_size, trial.point, trial.outcome.stopped_at
    row = timed_steps(resolved, trainable, point, size, seconds)
    lanes = build_lanes(resolved, trainable, Cohort(batch_size=size, points=(point,)))
    ends = [-(-steps * part // MEASUREMENTS) for part in range(1, 1 + MEASUREMENTS)]
    ends = list(dict.fromkeys(ends))  # distinct, if there are fewer than ten steps
    began = time.perf_counter()
    for before, end in zip([0, *ends], ends, strict=False):
        lanes.advance(end - before)
        lanes.measure()
    taken = time.perf_counter() - began
    added = steps * row["step_seconds"] + len(ends) * row["evaluation_seconds"]
    return {
        "steps": steps,
        "measurements": len(ends),
        "step_seconds": row["step_seconds"],
        "evaluation_seconds": row["evaluation_seconds"],
        "sum": added,
        "run": taken,
        "ratio": added / taken,
    }


def main() -> None:
    parser = arguments(__doc__, repeats=5)
    parser.add_argument("folders", nargs="+", type=Path, help="results folders")
    parser.add_argument("--batch-sizes", type=positives, metavar="B,B,...", help="default: three")
    parser.add_argument("--threads", type=positive, default=cores())
    parser.add_argument("--seconds", type=float, default=0.5, help="to time each batch size for")
    parser.add_argument(
        "--cpu-time", action="store_true", help="time of the process, for a machine that is busy"
    )
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    if chosen.cpu_time:
        time.perf_counter = time.process_time  # for the timing inside batchscale too
    cases = {}
    for folder in chosen.folders:
        results = ResultsFolder.at(folder)
        recorded = read_study_toml(results)
        best = {t.batch_size: t for t in winners(recorded, recorded_trials(results, recorded))}
        resolved = alone(recorded)
        workload = resolve(resolved.workload, resolved.workload_options)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        trainable = prepare(workload, device, resolved.compute.precision)
        assert isinstance(trainable, LoadedWorkload)
        sizes = list(best)
        three = {sizes[len(sizes) // 4], sizes[len(sizes) // 2], sizes[-1]}
        for size in chosen.batch_sizes or sorted(three):
            case = partial(once, resolved, trainable, best[size], chosen.seconds)
            cases[f"{folder.name}, B = {size:,}"] = case
    runs = interleaved(cases, chosen.repeats)
    rows = [
        [
            name,
            f"{repeats[0]['steps']:,}",
            f"{repeats[0]['measurements']:,}",
            number(1e3 * spread([run["step_seconds"] for run in repeats]).median),
            *(str(spread([run[key] for run in repeats])) for key in ("sum", "run", "ratio")),
        ]
        for name, repeats in runs.items()
    ]
    show(
        f"A run and the sum of its steps and measurements, {chosen.threads} threads",
        ["study", "steps", "measurements", "a step, ms", "sum, s", "run, s", "sum / run"],
        rows,
        f"Medians of {chosen.repeats} repeats (least to most).",
    )
    write_json(chosen, repeats=runs)


if __name__ == "__main__":
    main()
