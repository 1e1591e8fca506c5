"""Simulated studies of landscapes: the tables that a sweep would have written."""

import numpy as np
import pandas as pd

from analysis.tables.study import StudyTables
from tests.landscapes.quadratic import BATCH_SIZES, TRIALS, searched_steps

SLACK, SEEDS, MAX_STEPS = 1.5, 5, 10**6
NOISE = 0.05
"""Standard deviation of log steps over the seeds of one point."""
_WHOLE = ("steps", "steps_before", "source_batch_size", "source_trial")


def simulated_study(landscape, number, noise=NOISE):
    """Return the study of one set of points: a race at each batch size, the best point repeated.

    Args:
        landscape: what is searched.
        number: which set of points, 0 to SETS - 1; it sets the noise too.
        noise: standard deviation of log steps over the seeds of one point.
    """
    rng = np.random.default_rng(number)
    rows = []
    for size, exact in zip(BATCH_SIZES, searched_steps(landscape)[:, number], strict=True):
        steps = _measured(exact * np.exp(noise * rng.standard_normal(TRIALS)))
        fresh = exact[steps.argmin()] * np.exp(noise * rng.standard_normal(SEEDS))
        rows += [
            _row(size, trial, at, SLACK * steps.min(), landscape.target)
            for trial, at in enumerate(steps)
        ]
        source = {"source_batch_size": size, "source_role": "search"}
        source["source_trial"] = int(steps.argmin())
        rows += [
            _row(size, seed, at, MAX_STEPS, landscape.target) | source | {"role": "replicate"}
            for seed, at in enumerate(_measured(fresh))
        ]
    trials = pd.DataFrame(rows).astype(dict.fromkeys(_WHOLE, "Int64"))
    return StudyTables(
        name=f"simulated-{number}",
        config=_config(landscape),
        trials=trials,
        curves=_curves(trials, landscape.target),
    )


def _measured(steps):
    """Return steps rounded up to the next measurement: all first ones, then 3 % apart."""
    grid = np.unique(np.ceil(1.03 ** np.arange(600)))
    grid = np.append(grid, np.inf)
    return grid[np.searchsorted(grid, steps * (1 - 1e-12))]


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
        "steps_before": stop - 1 if reached else None,
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


def _config(landscape):
    return {
        "workload": "noisy-quadratic",
        "optimizer": landscape.optimizer,
        "batch_sizes": list(BATCH_SIZES),
        "seed": 0,
        "adaptive": False,
        "search": {"sampler": "halton", "trials": TRIALS, "space": landscape.space},
        "race": {
            "target": landscape.target,
            "max_steps": MAX_STEPS,
            "slack": SLACK,
            "resolution": 0.03,
        },
        "replicates": {"seeds": SEEDS},
        "schedule": {"name": "constant"},
    }
