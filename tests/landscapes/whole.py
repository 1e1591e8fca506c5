"""Whole simulated studies, from the product's queue to its headline: the table of docs/method.md.

`python -m tests.landscapes.whole STUDIES.csv` adds a line per study that the file lacks, a second
or two each, and may be stopped at any time; `... STUDIES.csv table` makes docs/tables/judged.csv.
Names of settings after that, such as `"shared 64"`, leave the others out.
"""

import csv
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.tables.schema import BOXES_FILE, CURVES_FILE, TRIALS_FILE
from analysis.tables.study import StudyTables, as_frame
from study.engine.outcomes import final_results
from study.storage.consolidate import tables_of
from tests.landscapes.judge import b_crits
from tests.landscapes.judge_searches import Setting
from tests.landscapes.quadratic import BATCH_SIZES, HELD_OUT, TUNED_ON, fewest_steps, true_b_crit
from tests.landscapes.races import run_study

TABLE = Path(__file__).parents[2] / "docs" / "tables" / "judged.csv"
SEEDS, STUDIES, LEAST = 5, 201, 10
"""Seeds of each best point, studies in a row of the table, and the fewest that make a row."""
_COLUMNS = ("landscapes", "optimizer", "search", "value", "low", "high", "cost", "steps", "most")
_NAMES = {"sgd": "SGD", "heavy-ball": "heavy ball", "nesterov": "Nesterov"}


SETTINGS = (
    Setting("halton", 64, 64),
    Setting("halton", 96, 32),
    Setting("halton", 96, 32, prune=True),
    Setting("tpe", 64, 16),
    Setting("shared", 64, 16),
    Setting("shared", 64, 16, prune=True),
    Setting("shared", 128, 16, prune=True),
    Setting("shared", 256, 16, prune=True),
)


def rows_of_table(group):
    """Return pairs of an optimizer and landscapes: each spectrum held out, or those tuned on."""
    if group == "held out":
        return [(name, [replace(at, optimizer=name) for at in HELD_OUT]) for name in _NAMES]
    found = [(name, [at for at in TUNED_ON if at.optimizer == name]) for name in _NAMES]
    return [(name, landscapes) for name, landscapes in found if landscapes]


def tables(study, results):
    """Return the tables that a sweep would have written."""
    made = tables_of(study, final_results(study, results))
    trials, curves, boxes = (as_frame(made[n]) for n in (TRIALS_FILE, CURVES_FILE, BOXES_FILE))
    return StudyTables(
        name="simulated", config=study.as_data(), trials=trials, curves=curves, boxes=boxes
    )


def judged(landscape, setting, seed):
    """Return what one study found.

    These are value, low and high of b_crit as shares of the truth, trial-steps over the fewest
    steps there are, and how far the steps of the best points are off: median and greatest but one.
    """
    study = setting.study(landscape, seed, SEEDS)
    results = [result for some in run_study(study, landscape).values() for result in some]
    fits, b_crit = b_crits(tables(study, results))
    fewest = dict(zip(BATCH_SIZES, fewest_steps(landscape), strict=True))
    points = fits.best.points
    found = fits.best.predict(points.batch_sizes) * np.exp(fits.best.residuals)
    off = np.abs(found / [fewest[int(size)] for size in points.batch_sizes] - 1)
    off = np.sort(np.append(off, [np.inf] * (len(fewest) - len(off))))
    shares = np.array([b_crit.estimate.value, b_crit.estimate.low, b_crit.estimate.high])
    spent = sum(r.outcome.stopped_at / fewest[r.batch_size] for r in results)
    return [*(shares / true_b_crit(landscape)), spent, np.median(off), off[-2]]


def add_studies(path, names):
    """Add the studies that a file lacks, of all rows of the table in turn."""
    path.touch()
    done = {tuple(line[:4]) for line in csv.reader(path.open())}
    with path.open("a", newline="") as file:
        for group, seed in product(("held out", "tuned on"), range(STUDIES)):
            for (optimizer, landscapes), setting in product(rows_of_table(group), SETTINGS):
                key = (group, optimizer, str(setting), str(seed))
                if key in done or (names and str(setting) not in names):
                    continue
                found = judged(landscapes[seed % len(landscapes)], setting, seed)
                csv.writer(file).writerow([*key, *(f"{value:.4g}" for value in found)])
                file.flush()


def table(path):
    """Return the table of the studies in a file."""
    names = [*_COLUMNS[:3], "seed", *_COLUMNS[3:]]
    studies = pd.read_csv(path, names=names)
    rows = []
    for keys, found in studies.groupby(["landscapes", "optimizer", "search"]):
        if len(found) < LEAST:
            continue
        error = (found["value"] - 1).abs()
        held = (found["low"] <= 1) & (found["high"] >= 1)
        half, most = found["steps"].median(), found["most"].median()
        rows.append({
            "landscapes": keys[0], "optimizer": _NAMES[keys[1]], "search": keys[2],
            "studies": len(found), "trial-steps / fewest": f"{found['cost'].mean():,.0f}",
            "`b_crit`: error": f"{error.median():.0%}", "coverage": f"{held.mean():.0%}",
            "width": f"{(found['high'] / found['low']).median():.2g}",
            "steps: median": f"{half:.0%}", "nine of ten": f"{most:.0%}",
        })  # fmt: skip
    return pd.DataFrame(rows)


if __name__ == "__main__":
    studies, *rest = sys.argv[1:]
    if rest == ["table"]:
        TABLE.parent.mkdir(exist_ok=True)
        table(studies).to_csv(TABLE, index=False, lineterminator="\n")
    else:
        add_studies(Path(studies), rest)
