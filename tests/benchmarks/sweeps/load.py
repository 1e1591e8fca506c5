"""Measure a very large study: 100 batch sizes x 1,000 trials through the real orchestrator.

Training is made up (made_up.py), which leaves driver, Ray, search, parts and tables. For each fifth
of the sweep, trials per second and the driver's memory at its end are shown; then the size of the
results folder, and the cost of commands on it: `sweep` with nothing missing and with ten parts
missing, `status` and `analyze`.

Not measured: training; object stores, where each file costs a request.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks import studies
from tests.benchmarks.measuring import (
    MIB,
    Finished,
    arguments,
    cores,
    number,
    positive,
    progress,
    run,
    show,
    write_json,
)
from tests.benchmarks.sweeps.growth import spaced

FIFTHS = 5
MISSING = 10


def loaded_study(sizes: int, trials: int, lanes: int) -> dict[str, Any]:
    """Return a study of made-up curves, of about 50 measurements: steps grow by 10 %."""
    data = studies.made_up(spaced(sizes, 16, 16_384), trials, 20_000)
    data["race"] |= {"resolution": 0.1, "cohort": lanes}
    return data


def moments(finished: Finished) -> list[float]:
    """Return the time of each cohort's report, in seconds since the sweep's start."""
    return [when for when, line in finished.lines if line.startswith("batch size ")]


def memory_at(finished: Finished, when: float) -> int:
    """Return the driver's peak memory up to a time, in bytes."""
    return max((rss for at, rss in finished.root_rss if at <= when), default=0)


def fifths(finished: Finished, trials: int) -> list[list[str]]:
    """Return a row for each fifth of the cohorts: trials, seconds, trials per second, memory."""
    reported = moments(finished)
    ends = [len(reported) * part // FIFTHS for part in range(1, FIFTHS + 1)]
    rows, before, done = [], reported[0], 0
    for end in ends:
        at, count = reported[end - 1], round(trials * end / len(reported))
        rows.append(
            [
                f"{count:,}",
                number(at),
                number((count - done) / max(at - before, 1e-9)),
                number(memory_at(finished, at) / MIB),
            ]
        )
        before, done = at, count
    return rows


def show_folder(folder: Path) -> dict[str, int]:
    """Print and return the number of files in a results folder, and their bytes."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    held = {"files": len(files), "bytes": sum(path.stat().st_size for path in files)}
    held["parts"] = sum(path.match("parts/*.parquet") for path in files)
    print(
        f"{held['files']:,} files, {held['parts']:,} of them parts, "
        f"{held['bytes'] / MIB:,.0f} MiB; {held['files'] - held['parts']} files beside the parts"
    )
    return held


def commands(folder: Path, workers: int) -> dict[str, Finished]:
    """Run the commands that read all recorded trials."""
    again: list[str | Path] = [
        *(studies.BATCHSCALE, "sweep", folder / "study.toml"),
        *("--results", folder.parent, "--workers", str(workers), "--run-code"),
    ]
    found = {"sweep, nothing missing": run(again)}
    parts = sorted((folder / "parts").glob("*.parquet"))
    for part in parts[-MISSING:]:
        part.unlink()
    found[f"sweep, {min(MISSING, len(parts))} parts missing"] = run(again)
    found["status"] = run([studies.BATCHSCALE, "status", folder])
    found["analyze"] = run([studies.BATCHSCALE, "analyze", folder])
    return found


def command_row(name: str, finished: Finished) -> Sequence[str]:
    """Return a row: total seconds, seconds to the first new part, and the driver's peak memory."""
    new = moments(finished)
    first = number(new[0]) if new else ""
    return [name, number(finished.seconds), first, number(finished.processes[0].peak_rss / MIB)]


def main() -> None:
    parser = arguments(__doc__, repeats=1)
    parser.add_argument("--sizes", type=positive, default=100, help="batch sizes; default 100")
    parser.add_argument("--trials", type=positive, default=1000, help="at each; default 1000")
    parser.add_argument("--lanes", type=positive, default=32, help="trials a cohort; default 32")
    parser.add_argument("--workers", type=positive, default=cores(), help="default one per core")
    chosen = parser.parse_args()
    data = loaded_study(chosen.sizes, chosen.trials, chosen.lanes)
    total = chosen.sizes * chosen.trials
    measured: list[dict[str, Any]] = []
    for repeat in range(chosen.repeats):
        with tempfile.TemporaryDirectory(prefix="benchmark-") as place:
            swept = studies.sweep(Path(place), data, workers=chosen.workers, results="results")
            progress(f"repeat {repeat + 1}: {total:,} trials in {swept.finished.seconds:.0f} s")
            show(
                f"{chosen.sizes} batch sizes x {chosen.trials:,} trials, {chosen.lanes} to a "
                f"cohort, {chosen.workers} workers: {swept.finished.seconds:,.0f} s",
                ["trials", "at, s", "trials / s", "driver RSS, MiB"],
                fifths(swept.finished, total),
                f"Tables written after the last part; the driver's peak, with them, is "
                f"{swept.finished.processes[0].peak_rss / MIB:,.0f} MiB.",
            )
            held = show_folder(swept.folder)
            ended = commands(swept.folder, chosen.workers)
            show(
                f"With {total:,} trials recorded",
                ["command", "whole, s", "first new part, s", "peak RSS, MiB"],
                [command_row(name, finished) for name, finished in ended.items()],
            )
            measured.append({"sweep": swept.finished, "folder": held, "commands": ended})
    write_json(chosen, repeats=measured)


if __name__ == "__main__":
    main()
