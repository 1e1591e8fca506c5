"""Simulated studies of landscapes: the tables that a sweep would have written."""

import numpy as np
import pandas as pd

from analysis.tables.study import StudyTables
from tests.landscapes.quadratic import BATCH_SIZES, searched_steps

SLACK, SEEDS, MAX_STEPS = 1.5, 5, 10**6
NOISE = 0.05
"""Standard deviation of log steps over the seeds of one point."""
_GRID = np.array([0.0, *np.unique(np.ceil(1.03 ** np.arange(600))), np.inf])
"""Steps of the measurements: all first ones, then 3 % apart."""
_WHOLE = ("steps", "steps_before", "source_batch_size", "source_trial")


def simulated_study(landscape, number, noise=NOISE, found=None):
    """Return the study of one set of points: a race at each batch size, the best point repeated.

    Args:
        landscape: what is searched.
        number: which set of points, 0 to SETS - 1; it sets the noise too.
        noise: standard deviation of log steps over the seeds of one point.
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
    return study_of(
        BATCH_SIZES,
        searched,
        fresh,
        target=landscape.target,
        optimizer=landscape.optimizer,
        space=landscape.space,
    )


def study_of(sizes, searched, fresh, caps=None, *, target, optimizer, space):
    """Return a study from measured steps.

    Args:
        sizes: batch sizes.
        searched: steps of all trials at each, infinite where never reached, and the place of the
            point that is repeated.
        fresh: steps of its fresh seeds at each batch size.
        caps: steps beyond which no trial was followed at each batch size; None for no such limit.
        target: validation error to get below.
        optimizer: name.
        space: what was searched.
    """
    rows = []
    caps = [np.inf] * len(sizes) if caps is None else caps
    for size, (steps, best), again, most in zip(sizes, searched, fresh, caps, strict=True):
        reached = np.isfinite(steps.min())
        cap = max(min(SLACK * steps.min(), most), steps.min()) if reached else MAX_STEPS
        rows += [_row(size, trial, at, cap, target) for trial, at in enumerate(steps)]
        source = {"source_batch_size": size, "source_role": "search", "source_trial": int(best)}
        rows += [
            _row(size, seed, at, MAX_STEPS, target) | source | {"role": "replicate"}
            for seed, at in enumerate(again if reached else ())
        ]
    trials = pd.DataFrame(rows).astype(dict.fromkeys(_WHOLE, "Int64"))
    return StudyTables(
        name="simulated",
        config=_config(optimizer, sizes, len(searched[0][0]), target, space),
        trials=trials,
        curves=_curves(trials, target),
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


def _config(optimizer, sizes, trials, target, space):
    race = {"target": target, "max_steps": MAX_STEPS, "slack": SLACK, "resolution": 0.03}
    return {
        "workload": "simulated",
        "optimizer": optimizer,
        "batch_sizes": [int(size) for size in sizes],
        "seed": 0,
        "adaptive": False,
        "search": {"sampler": "halton", "trials": trials, "space": space},
        "race": race,
        "replicates": {"seeds": SEEDS},
        "schedule": {"name": "constant"},
    }
