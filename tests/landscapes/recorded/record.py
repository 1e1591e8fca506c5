"""Record real training as landscapes: dense points, three seeds each, in long runs.

Run `python -m tests.landscapes.recorded.record FOLDER [NAME...]` in the repository. For each name,
it sweeps into a results folder, which takes a few minutes of two free cores, and writes
`recordings/NAME.parquet`, with a row for each run:

- `batch_size`, `point`, `seed` (0 for the search, 1 and 2 for re-runs of points that reached the
  target) and the values of the point;
- `status` and `stopped_at`: how the run ended and its last step, at least four times the fewest
  steps at its batch size;
- `blew_up` and `diverged`: the step of the first measurement that was not finite, and of the first
  with ten times the loss of the start; missing if there was none;
- `steps_0`, `before_0`, ...: the first measurement below each level of error, and the one before
  it; missing if never. They keep the curve at levels evenly spaced in log error, the last of which
  is the target of the race.

What all runs have in common is in the table's `attrs`.
"""

import sys
from pathlib import Path

import numpy as np

import batchscale
from analysis.tables.folder import ResultsFolder
from analysis.tables.study import read_study
from study.engine.stopping_rules import DIVERGED_FACTOR, has_diverged

RECORDINGS = Path(__file__).with_name("recordings")
LEVELS = 8
"""Number of levels of error, including the target."""
_SMALL = Path(__file__).with_name("small.py")
_MOMENTUM = {"low": 0.0, "high": 0.99, "scale": "reverse-log"}


def _study(workload, optimizer, batch_sizes, trials, lr=None):
    """Return a study file with three seeds at each point and a slack of 4."""
    box = lr and {"lr": {"low": lr[0], "high": lr[1], "scale": "log"}, "momentum": _MOMENTUM}
    return {
        "workload": workload,
        "optimizer": optimizer,
        "batch_sizes": batch_sizes,
        "search": {"trials": trials, "space": box or {}},
        "race": {"slack": 4.0, "max_steps": 60_000},
        "replicates": {"seeds": 2, "top": trials, "slack": 4.0},
    }


STUDIES = {
    "digits": _study("digits-mlp", "nesterov", [1, 4, 16, 64, 256, 1024], 128),
    "fashion": _study(
        f"{_SMALL}:Fashion", "heavy-ball", [2, 8, 32, 128, 512, 2048], 128, (1e-3, 1.0)
    ),
    "cnn": _study(f"{_SMALL}:Convolutional", "nesterov", [2, 8, 32, 128, 512], 96, (1e-3, 1.0)),
    "transformer": _study(f"{_SMALL}:Attentive", "nesterov", [1, 4, 16, 64, 256], 64, (1e-2, 3.0)),
}


def recording(study):
    """Return the recording of a study."""
    key = ["batch_size", "role", "trial"]
    curves = study.curves.sort_values([*key, "step"])
    before = curves.groupby(key)["step"].shift()
    start = curves[curves["step"] == 0].set_index(key)[["val_loss", "val_error"]]
    first = float(start["val_error"].median())
    levels = np.geomspace(first, study.target, LEVELS + 1)[1:]
    levels[-1] = study.target
    trials = study.trials.set_index(key).sort_index()
    ended = curves.groupby(key)["step"].last().reindex(trials.index, fill_value=-1)
    blown = (trials["status"] == "diverged") & (trials["stopped_at"] > ended)
    trials["blew_up"] = trials["stopped_at"].where(blown)
    trained = curves.assign(before=before)[curves["step"] > 0].set_index(key)
    start = start.reindex(trained.index)
    now = (trained["val_loss"], trained["val_error"])
    initial = start["val_loss"], start["val_error"]
    plainly = has_diverged(initial, now, study.target, DIVERGED_FACTOR)
    trials["diverged"] = trained["step"][plainly].groupby(key).first()
    for number, level in enumerate(levels):
        hit = trained[trained["val_error"] < level].groupby(key)[["step", "before"]].first()
        trials = trials.join(hit.set_axis([f"steps_{number}", f"before_{number}"], axis=1))
    return _compact(trials.reset_index(), study, {"levels": levels.tolist(), "start": first})


def _compact(runs, study, attrs):
    """Return the runs as a recording, with the number of each run's point and seed."""
    again = runs["role"] == "replicate"
    runs = runs.assign(point=runs["source_trial"].where(again, runs["trial"]), again=again)
    runs = runs.sort_values(["batch_size", "point", "again", "trial"])
    runs["seed"] = runs.groupby(["batch_size", "point"]).cumcount()
    passed = [f"{name}_{level}" for level in range(LEVELS) for name in ("steps", "before")]
    columns = ["batch_size", "point", "seed", *study.space, "status", "stopped_at"]
    columns += ["blew_up", "diverged", *passed]
    kinds = dict.fromkeys(columns, "Int32") | dict.fromkeys(study.space, "float32")
    table = runs[columns].astype(kinds | {"status": "str"}).reset_index(drop=True)
    table.attrs = {"optimizer": study.config["optimizer"], "space": dict(study.space)} | attrs
    return table


def _record(folder, name):
    results = Path(folder) / name
    batchscale.sweep(STUDIES[name], results=results, ray=False)
    study = read_study(ResultsFolder.at(next(results.iterdir())))
    RECORDINGS.mkdir(exist_ok=True)
    recording(study).to_parquet(RECORDINGS / f"{name}.parquet", compression="zstd", index=False)


if __name__ == "__main__":
    where, *names = sys.argv[1:]
    for chosen in names or STUDIES:
        _record(where, chosen)
