"""Whole simulated studies, from the product's queue to its headline: the table of docs/method.md.

`python -m tests.landscapes.whole quadratic STUDIES.csv` adds a line for each study that the file
lacks, which takes a second or two each, and may be stopped at any time. Names of settings after the
file, such as `"shared 64"`, restrict it to these. `... quadratic STUDIES.csv table` writes
docs/tables/judged.csv. With `recorded` in place of `quadratic`, both use the recorded landscapes
and docs/tables/recorded.csv.
"""

import csv
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.tables.schema import BOXES_FILE, CURVES_FILE, TRIALS_FILE
from analysis.tables.study import StudyTables, as_frame
from study.engine.outcomes import final_results
from study.storage.consolidate import tables_of
from tests.landscapes.judge import b_crits, headline
from tests.landscapes.judge_searches import Setting
from tests.landscapes.quadratic import HELD_OUT, TUNED_ON, fewest_steps, true_b_crit
from tests.landscapes.races import run_study
from tests.landscapes.recorded import landscape as recorded

TABLES = Path(__file__).parents[2] / "docs" / "tables"
STUDIES, MINIMUM = 201, 5
"""Studies in a row of the table, and the fewest for a row to be shown."""
_COLUMNS = ("landscapes", "name", "search", "value", "low", "high", "fit", "cost", "steps", "most")
_NAMES = {"sgd": "SGD", "heavy-ball": "heavy ball", "nesterov": "Nesterov"}


SETTINGS = (
    Setting("halton", 64, 64),
    Setting("halton", 96, 32),
    Setting("halton", 256, 32),
    Setting("tpe", 64, 16),
    Setting("shared", 32, 16, prune=True),
    Setting("shared", 64, 16),
    Setting("shared", 64, 16, prune=True),
    Setting("shared", 128, 16, prune=True),
    Setting("shared", 256, 16, prune=True),
)
REAL_SETTINGS = (SETTINGS[1], SETTINGS[7])


def quadratic_rows():
    """Return the rows of the table by group, pairs of an optimizer and its landscapes."""
    held_out = [(name, [replace(at, optimizer=name) for at in HELD_OUT]) for name in _NAMES]
    tuned_on = [(name, [at for at in TUNED_ON if at.optimizer == name]) for name in _NAMES]
    return {"held out": held_out, "tuned on": [row for row in tuned_on if row[1]]}


def recorded_rows():
    """Return the rows of the table by group, pairs of a name and its one landscape."""
    groups = {"held out": recorded.HELD_OUT, "others": recorded.OTHERS}
    return {g: [(n, [recorded.landscape(n)]) for n in names] for g, names in groups.items()}


@dataclass(frozen=True)
class Bank:
    """A bank's table: its rows and settings, its file, and the heading of its row names.

    `curved` says whether a fit through the fewest steps differs a little from the truth.
    """

    rows: Callable
    settings: Sequence[Setting]
    table: str
    heading: str
    curved: bool


BANKS = {
    "quadratic": Bank(quadratic_rows, SETTINGS, "judged.csv", "optimizer", True),
    "recorded": Bank(recorded_rows, REAL_SETTINGS, "recorded.csv", "landscape", False),
}


def tables(study, results):
    """Return the tables that a sweep would write."""
    made = tables_of(study, final_results(study, results))
    trials, curves, boxes = (as_frame(made[n]) for n in (TRIALS_FILE, CURVES_FILE, BOXES_FILE))
    return StudyTables(
        name="simulated", config=study.as_data(), trials=trials, curves=curves, boxes=boxes
    )


def judged(landscape, setting, seed):
    """Return the results of one study.

    These are value, low and high of b_crit relative to the truth, its value relative to that of a
    study without error, trial-steps over the fewest steps, and the relative errors of the estimated
    optima: their median and the second largest.
    """
    study = setting.study(landscape, seed, seeds=None)
    results = [result for some in run_study(study, landscape).values() for result in some]
    fits, b_crit = b_crits(tables(study, results))
    fewest = dict(zip(landscape.batch_sizes, fewest_steps(landscape), strict=True))
    points = fits.best.points
    found = fits.best.predict(points.batch_sizes) * np.exp(fits.best.residuals)
    off = np.abs(found / [fewest[int(size)] for size in points.batch_sizes] - 1)
    off = np.sort(np.append(off, [np.inf] * (len(fewest) - len(off))))
    shares = np.array([b_crit.estimate.value, b_crit.estimate.low, b_crit.estimate.high])
    spent = sum(r.outcome.stopped_at / fewest[r.batch_size] for r in results)
    fit = b_crit.estimate.value / headline(landscape.batch_sizes, fewest_steps(landscape))
    return [*(shares / true_b_crit(landscape)), fit, spent, np.median(off), off[-2]]


def add_studies(path, bank, names):
    """Add the studies of a bank that a file lacks, taking all rows of the table in turn."""
    path.touch()
    done = {tuple(line[:4]) for line in csv.reader(path.open())}
    groups = bank.rows()
    with path.open("a", newline="") as file:
        for group, seed in product(groups, range(STUDIES)):
            for (name, landscapes), setting in product(groups[group], bank.settings):
                key = (group, name, str(setting), str(seed))
                if key in done or (names and str(setting) not in names):
                    continue
                found = judged(landscapes[seed % len(landscapes)], setting, seed)
                csv.writer(file).writerow([*key, *(f"{value:.4g}" for value in found)])
                file.flush()


def table(path, bank):
    """Return a bank's table from the studies in a file."""
    names = [*_COLUMNS[:3], "seed", *_COLUMNS[3:]]
    studies = pd.read_csv(path, names=names)
    rows = []
    for keys, found in studies.groupby(list(_COLUMNS[:3])):
        if len(found) < MINIMUM:
            continue
        error, by_fit = ((found[name] - 1).abs().median() for name in ("value", "fit"))
        held = (found["low"] <= 1) & (found["high"] >= 1)
        half, most = found["steps"].median(), found["most"].median()
        rows.append({
            "landscapes": keys[0], bank.heading: _NAMES.get(keys[1], keys[1]), "search": keys[2],
            "studies": len(found), "trial-steps / fewest": f"{found['cost'].mean():,.0f}",
            "`b_crit`: error": f"{error:.0%}", "without form": f"{by_fit:.0%}",
            "coverage": f"{held.mean():.0%}",
            "width": f"{(found['high'] / found['low']).median():.2g}",
            "steps: median": f"{half:.0%}", "nine of ten": f"{most:.0%}",
        })  # fmt: skip
    made = pd.DataFrame(rows)
    return made if bank.curved else made.drop(columns="without form")


if __name__ == "__main__":
    name, studies, *rest = sys.argv[1:]
    bank = BANKS[name]
    if rest == ["table"]:
        made = table(studies, bank)
        made.to_csv(TABLES / bank.table, index=False, lineterminator="\n")
    else:
        add_studies(Path(studies), bank, rest)
