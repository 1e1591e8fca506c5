"""The cost of a study at equal precision, with an even plan and with a search that adapts.

`python -m tests.benchmarks.sweeps.precision PLACE TABLE.csv examples/digits.toml` sweeps 96 Halton
trials and 5 seeds at every batch size, and then a study with `sampler = "shared"`, `race.prune` and
`[until]`, which stops when its interval of b_crit is as narrow; both for two seeds of the study.
"""

import csv
import itertools
import subprocess
import sys
import time
from pathlib import Path

from analysis.fitting.estimates import Estimate
from analysis.report.summary import analyze
from analysis.tables.folder import ResultsFolder
from analysis.tables.study import read_study
from study.search.narrowing import half_width

BATCHSCALE = Path(sys.executable).with_name("batchscale")
SEEDS = (0, 1)
EVEN = ("search.trials=96", "race.prune=[]", "replicates.top=1", "replicates.seeds=5")
LEARNING = (
    "search.sampler=shared",
    "search.trials=32",
    "race.prune=[0.25, 0.5]",
    "replicates.seeds=2",
    "replicates.top=4",
    "replicates.confirm=5",
)
HEADINGS = (
    "study",
    "seed",
    "search",
    "trial-steps",
    "seconds",
    "b_crit",
    "low",
    "high",
    "half-width",
)


def swept(study: Path, place: Path, settings: tuple[str, ...]) -> tuple[int, float, Estimate]:
    """Return the trial-steps and seconds of a sweep, and its critical batch size."""
    options = [part for setting in settings for part in ("--set", setting)]
    started = time.perf_counter()
    sweep = [BATCHSCALE, "sweep", study, "--results", place, "--no-ray", *options]
    subprocess.run(sweep, check=True, capture_output=True)
    seconds = time.perf_counter() - started
    (folder,) = (path.parent for path in place.rglob("trials.parquet"))
    tables = read_study(ResultsFolder.at(folder))
    steps = int(tables.trials["stopped_at"].sum())
    return steps, seconds, analyze(tables).critical["b_crit"].estimate


def main(place: Path, table: Path, studies: list[Path]) -> None:
    """Sweep every study both ways for each seed, and add a row to the table for each sweep."""
    with table.open("a", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        if not file.tell():
            rows.writerow(HEADINGS)
        for study, seed in itertools.product(studies, SEEDS):
            until: tuple[str, ...] = ()
            for name, settings in (("even", EVEN), ("learning", LEARNING)):
                at = place / f"{study.stem}-{seed}-{name}"
                steps, seconds, b = swept(study, at, (f"seed={seed}", *settings, *until))
                until = (f"until.b_crit={half_width(b):.3g}",)
                numbers = [f"{value:.3g}" for value in (b.value, b.low, b.high, half_width(b))]
                rows.writerow([study.stem, seed, name, steps, round(seconds), *numbers])
                file.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
