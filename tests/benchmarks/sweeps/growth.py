"""Measure how cost grows with the number of trials and of batch sizes.

sweep: `batchscale sweep` of a small study, and of the same study with ten times the trials, or ten
times the batch sizes. Wall-clock time, CPU time and the driver's peak memory are given as ratios:
ten times the work should cost at most ten times as much, plus a fixed cost. The last column leaves
out the fixed cost: it is the ratio of training times, from the first cohort's start to the last
part.

records: folders with 1,000 and 10,000 recorded trials at 20 batch sizes, about 50 measurements
each, 16 trials per part, filled by sweeps of made-up learning curves (made_up.py). The CPU time is
given for reading the parts, as a resumed sweep does first; for writing the tables from them
(consolidation); and for the commands `status`, `analyze`, and `sweep` with nothing missing. The
sweep that fills a folder is also timed, once. --profile prints where the first two, status and
analyze spend their time.

Not measured: growth of the data, of the model, or over several machines.
"""

import argparse
import cProfile
import io
import pstats
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks import studies
from tests.benchmarks.measuring import (
    MIB,
    Finished,
    arguments,
    cores,
    interleaved,
    number,
    positive,
    progress,
    ratio,
    run,
    show,
    spread,
    times,
    write_json,
)

if TYPE_CHECKING:
    from analysis.tables.folder import ResultsFolder

FACTOR = 10


# --- (1) sweeps -------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Ended:
    """One sweep: the command, and its phases in seconds."""

    finished: Finished
    phases: dict[str, float]


def swept(data: Mapping[str, Any], workers: int) -> Ended:
    """Sweep a study."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        result = studies.sweep(Path(folder), data, workers=workers, results="results")
        return Ended(finished=result.finished, phases=studies.phases(result))


def sweeps(chosen: argparse.Namespace) -> dict[str, list[Ended]]:
    """Sweep the base study and its two enlargements, interleaved, and show the ratios."""
    make = studies.WORKLOADS[chosen.workload]
    # as large on average: ten times as many batch sizes should cost ten times the training
    few, many = spaced(chosen.sizes), spaced(chosen.sizes * FACTOR)
    studied = {
        "base": make(few, chosen.trials, chosen.max_steps),
        f"{FACTOR} x trials": make(few, chosen.trials * FACTOR, chosen.max_steps),
        f"{FACTOR} x batch sizes": make(many, chosen.trials, chosen.max_steps),
    }
    runs = interleaved(
        {name: partial(swept, data, chosen.workers) for name, data in studied.items()},
        chosen.repeats,
    )
    whole = {name: [end.finished.seconds for end in ends] for name, ends in runs.items()}
    cpu = {name: [end.finished.cpu_seconds for end in ends] for name, ends in runs.items()}
    memory = {name: [e.finished.processes[0].peak_rss for e in ends] for name, ends in runs.items()}
    training = {name: [end.phases["training"] for end in ends] for name, ends in runs.items()}
    rows = [
        [
            name,
            f"{len(data['batch_sizes']) * data['search']['trials']:,}",
            str(spread(whole[name])),
            times(ratio(whole[name], whole["base"])),
            number(spread(cpu[name]).median),
            times(ratio(cpu[name], cpu["base"])),
            number(spread(memory[name]).median / MIB),
            times(ratio(memory[name], memory["base"])),
            times(ratio(training[name], training["base"])),
        ]
        for name, data in studied.items()
    ]
    show(
        f"Sweep of {chosen.workload}, {chosen.workers} workers",
        [
            *("", "trials", "whole, s", "ratio", "CPU s", "ratio"),
            *("driver RSS, MiB", "ratio", "training's ratio"),
        ],
        rows,
        f"Medians of {chosen.repeats} interleaved repeats (least to most). RSS at its peak.",
    )
    return runs


def spaced(count: int, low: int = 16, high: int = 1024) -> list[int]:
    """Return `count` different batch sizes, about evenly spaced on a log scale."""
    wanted = [low * (high / low) ** ((index + 0.5) / count) for index in range(count)]
    sizes: list[int] = []
    for size in wanted:
        sizes.append(max(round(size), sizes[-1] + 1 if sizes else 1))
    return sizes


# --- (2) recorded trials ----------------------------------------------------------------------


def recorded_study(sizes: int, trials: int) -> dict[str, Any]:
    """Return a study of made-up curves, of about 50 measurements: steps grow by 10 %."""
    data = studies.made_up([2**k for k in range(sizes)], trials, 20_000)
    data["race"] |= {"resolution": 0.1, "cohort": 16}
    return data


def read(folder: Path) -> int:
    """Read all parts, as a resumed sweep does; return the number of trials."""
    from study.storage.parts import Parts
    from study.storage.study_folder import read_study_toml

    return sum(1 for _ in Parts(at(folder), read_study_toml(at(folder))))


def consolidate(folder: Path) -> int:
    """Write the tables from the parts; return the number of trials."""
    from study.storage.consolidate import consolidate as write_tables
    from study.storage.parts import Parts
    from study.storage.study_folder import read_study_toml

    return len(write_tables(Parts(at(folder), read_study_toml(at(folder)))))


def at(folder: Path) -> "ResultsFolder":
    """Return batchscale's object for a results folder."""
    from analysis.tables.folder import ResultsFolder

    return ResultsFolder.at(folder)


def command(*words: str) -> None:
    """Run a command in this process, for the profile, without its output."""
    import contextlib

    from study.commands.app import app

    with contextlib.redirect_stdout(io.StringIO()):
        app(list(words), standalone_mode=False)


@dataclass(frozen=True, kw_only=True)
class Took:
    """CPU seconds of one call or command, and the peak memory of a command."""

    seconds: float
    peak_rss: int | None = None


def called(work: Callable[[Path], int], folder: Path) -> Took:
    """Time a call in this process."""
    began = time.process_time()
    work(folder)
    return Took(seconds=time.process_time() - began)


def commanded(*words: str | Path) -> Took:
    """Time a command, process start to exit, with its children."""
    return _took(run([studies.BATCHSCALE, *words]))


def _took(finished: Finished) -> Took:
    return Took(seconds=finished.cpu_seconds, peak_rss=finished.processes[0].peak_rss)


def records(chosen: argparse.Namespace) -> dict[str, Any]:
    """Time what reads recorded trials, on a small and a large folder, and show the ratios."""
    counts = {"fewer": max(1, chosen.recorded // FACTOR), "all": chosen.recorded}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as place:
        folders, made, lengths, filled = {}, {}, {}, {}
        for name, count in counts.items():
            data = recorded_study(chosen.recorded_sizes, count)
            result = studies.sweep(Path(place), data, workers=chosen.workers, results=name)
            folders[name], filled[name] = result.folder, [_took(result.finished)]
            made[name] = sum(cohort.trials for cohort in studies.cohorts(result.folder))
            progress(f"made {made[name]:,} trials in {result.finished.seconds:.0f} s")
            read(result.folder)  # to import everything before the timing
        cases: dict[str, Callable[[], Took]] = {}
        for name, folder in folders.items():
            again = [
                "sweep",
                str(folder / "study.toml"),
                "--results",
                str(folder.parent),
                "--run-code",
            ]
            cases |= {
                f"read the parts|{name}": partial(called, read, folder),
                f"consolidate|{name}": partial(called, consolidate, folder),
                f"batchscale status|{name}": partial(commanded, "status", folder),
                f"batchscale analyze|{name}": partial(commanded, "analyze", folder),
                f"batchscale sweep, nothing missing|{name}": partial(commanded, *again),
            }
        runs = {f"batchscale sweep, all missing|{name}": took for name, took in filled.items()}
        runs |= interleaved(cases, chosen.repeats)
        for name, folder in folders.items():
            lengths[name] = measurements(folder)
        show_records(chosen, runs, made, lengths)
        if chosen.profile:
            profile(folders["all"])
    return {"trials": made, "measurements": lengths, "repeats": runs}


def measurements(folder: Path) -> int:
    """Return the number of rows in the consolidated curves."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(folder / "curves.parquet").num_rows)


def show_records(
    chosen: argparse.Namespace,
    runs: Mapping[str, Sequence[Took]],
    made: Mapping[str, int],
    lengths: Mapping[str, int],
) -> None:
    """Show the times for both folders side by side."""
    rows = []
    for what in dict.fromkeys(name.partition("|")[0] for name in runs):
        few = [took.seconds for took in runs[f"{what}|fewer"]]
        many = [took.seconds for took in runs[f"{what}|all"]]
        peaks = [took.peak_rss for took in runs[f"{what}|all"] if took.peak_rss is not None]
        rows.append(
            [
                what,
                str(spread(few)),
                str(spread(many)),
                times(ratio(many, few)),
                number(spread(peaks).median / MIB) if peaks else "",
            ]
        )
    show(
        f"Recorded trials at {chosen.recorded_sizes} batch sizes",
        [
            "CPU seconds for",
            f"{made['fewer']:,} trials",
            f"{made['all']:,} trials",
            "ratio",
            "peak RSS, MiB",
        ],
        rows,
        f"{lengths['fewer']:,} and {lengths['all']:,} measurements in the tables. Medians of "
        f"{chosen.repeats} interleaved repeats (least to most).",
    )


def profile(folder: Path) -> None:
    """Print the functions that take most of the time, with and without what they call."""
    works: dict[str, Callable[[], object]] = {
        "read the parts": partial(read, folder),
        "consolidate": partial(consolidate, folder),
        "status": partial(command, "status", str(folder)),
        "analyze": partial(command, "analyze", str(folder)),
    }
    for name, work in works.items():
        profiler = cProfile.Profile()
        profiler.runcall(work)
        text = io.StringIO()
        stats = pstats.Stats(profiler, stream=text).strip_dirs()
        stats.sort_stats("cumulative").print_stats(25)
        stats.sort_stats("tottime").print_stats(8)
        print(f"\n{name}\n{text.getvalue()}", flush=True)


def main() -> None:
    parser = arguments(__doc__, repeats=3)
    parser.add_argument("--part", choices=["sweep", "records", "both"], default="both")
    parser.add_argument("--workload", choices=["digits", "quadratic"], default="digits")
    parser.add_argument("--trials", type=positive, default=16, help="of the base; default 16")
    parser.add_argument("--sizes", type=positive, default=3, help="batch sizes; default 3")
    parser.add_argument("--max-steps", type=positive, default=500, help="default 500")
    parser.add_argument("--workers", type=positive, default=cores(), help="default one per core")
    parser.add_argument(
        "--recorded", type=positive, default=500, help="trials at each batch size; default 500"
    )
    parser.add_argument("--recorded-sizes", type=positive, default=20, help="default 20")
    parser.add_argument("--profile", action="store_true", help="say where the time goes")
    chosen = parser.parse_args()
    measured: dict[str, Any] = {}
    if chosen.part in {"sweep", "both"}:
        measured["sweeps"] = sweeps(chosen)
    if chosen.part in {"records", "both"}:
        measured["records"] = records(chosen)
    write_json(chosen, **measured)


if __name__ == "__main__":
    main()
