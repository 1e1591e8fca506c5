"""Simulated studies of landscapes, as the tables that a sweep would write."""

import numpy as np
import pandas as pd

from analysis.tables.study import StudyTables
from tests.landscapes.quadratic import BATCH_SIZES, searched_steps

SLACK, SEEDS, MAX_STEPS = 1.5, 5, 10**6
NOISE = 0.05
"""Standard deviation of log steps over the seeds of one point."""
_GRID = np.array([0.0, *np.unique(np.ceil(1.03 ** np.arange(600))), np.inf])
"""Steps of the measurements: each of the first ones, then 3 % apart."""
_WHOLE = ("steps", "steps_before", "source_batch_size", "source_trial")


def simulated_study(landscape, number, noise=NOISE, found=None):
    """Return the study of a set of points: a race at each batch size, with re-runs of the best.

    Args:
        landscape: the landscape to search.
        number: number of the set of points, 0 to SETS - 1, which also seeds the noise.
        noise: standard deviation of log steps over the seeds of a point.
        found: exact steps of every trial, shape (batch sizes, trials); None for those of the set.
    """
    found = searched_steps(landscape)[:, number] if found is None else found
    rng = np.random.default_rng(number)
    searched, fresh = [], []
    for exact in found:
        steps = _measured(exact * np.exp(noise * rng.standard_normal(exact.size)))
        best = steps.argmin()
        searched.append((steps, best))
        fresh.append(_measured(exact[best] * np.exp(noise * rng.standard_normal(SEEDS))))
    rows = []
    for size, (steps, best), again in zip(BATCH_SIZES, searched, fresh, strict=True):
        reached = np.isfinite(steps.min())
        cap = SLACK * steps.min() if reached else MAX_STEPS
        rows += [_row(size, trial, at, cap, landscape.target) for trial, at in enumerate(steps)]
        source = {"source_batch_size": size, "source_role": "search", "source_trial": int(best)}
        rows += [
            _row(size, seed, at, MAX_STEPS, landscape.target) | source | {"role": "replicate"}
            for seed, at in enumerate(again if reached else ())
        ]
    trials = pd.DataFrame(rows).astype(dict.fromkeys(_WHOLE, "Int64"))
    return StudyTables(
        name="simulated",
        config=_config(landscape, len(searched[0][0])),
        trials=trials,
        curves=_curves(trials, landscape.target),
    )


def _measured(steps):
    """Return steps rounded up to the next measurement."""
    return _GRID[np.searchsorted(_GRID, steps * (1 - 1e-12))]


def _row(size, trial, steps, cap, target):
    reached = steps <= cap
    stop = int(steps) if reached else int(np.ceil(cap))
    return {
        "batch_size": size,
        "trial": trial,
        "role": "search",
        "source_batch_size": None,
        "source_role": None,
        "source_trial": None,
        "rule": None,
        "lr": 0.1,
        "status": "reached" if reached else "capped",
        "steps": stop if reached else None,
        "steps_before": int(_GRID[np.searchsorted(_GRID, stop) - 1]) if reached else None,
        "stopped_at": stop,
        "best_error": target * (0.999 if reached else min(steps / cap, 10.0)),
        "message": "",
    }


def _curves(trials, target):
    start = trials[["batch_size", "role", "trial"]].assign(step=0, val_error=100 * target)
    end = trials[["batch_size", "role", "trial"]].assign(
        step=trials["stopped_at"], val_error=trials["best_error"]
    )
    return pd.concat([start, end], ignore_index=True)


def _config(landscape, trials):
    race = {"target": landscape.target, "max_steps": MAX_STEPS, "slack": SLACK, "resolution": 0.03}
    return {
        "workload": "simulated",
        "optimizer": landscape.optimizer,
        "batch_sizes": list(BATCH_SIZES),
        "seed": 0,
        "adaptive": False,
        "search": {"sampler": "halton", "trials": trials, "space": landscape.space},
        "race": race,
        "replicates": {"seeds": SEEDS},
        "schedule": {"name": "constant"},
    }
