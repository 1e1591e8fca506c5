"""Simulated studies with a known truth, in memory."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import qmc

from analysis.fitting.tuned import fit_best
from analysis.report.summary import Analysis, analyze
from analysis.search_quality.best_of_n import SearchSample
from analysis.tables.study import StudyTables

SPACE = {
    "lr": {"low": 1e-4, "high": 10.0, "scale": "log"},
    "momentum": {"low": 0.0, "high": 0.999, "scale": "reverse-log"},
}
MADE_STEPS = {
    2: 600,
    4: 335,
    8: 198,
    16: 91,
    32: 49,
    64: 35,
    128: 32,
    256: 30,
    512: 22,
    1024: 19,
}
"""Digits, MLP, Nesterov, 5 % error: measured steps to target."""

MAX_STEPS = 20_000
SLACK = 1.5


def study_config(batch_sizes=tuple(MADE_STEPS), target=0.05, space=None, **race):
    return {
        "workload": "digits-mlp",
        "optimizer": "nesterov",
        "batch_sizes": list(batch_sizes),
        "seed": 0,
        "adaptive": False,
        "search": {"sampler": "halton", "trials": 16, "space": SPACE if space is None else space},
        "race": {"target": target, "max_steps": MAX_STEPS, "slack": SLACK, "resolution": 0.03}
        | race,
        "schedule": {"name": "constant"},
    }


def make_study(
    steps: Mapping[int, int | None] = MADE_STEPS,
    *,
    trials: int = 16,
    target: float = 0.05,
    searched: tuple[str, ...] = ("lr", "momentum"),
    **race: object,
) -> StudyTables:
    """Return a study whose fewest steps are as given, None where no trial reached the target.

    Every curve falls as 1 / step, from an error of 0.9 at step 0; the winner is trial 3.
    """
    rng = np.random.default_rng(7)
    space = {name: SPACE[name] if name in searched else 0.9 for name in SPACE}
    rows, curves = [], []
    for size, best in steps.items():
        for trial in range(trials):
            row, curve = _trial(rng, size, trial, best, target)
            row |= {} if "momentum" in searched else {"momentum": 0.9}
            rows.append(row)
            curves.append(curve)
    config = study_config(steps, target, space, **race)
    config["search"]["trials"] = trials
    return StudyTables(
        name="made",
        config=config,
        trials=pd.DataFrame(rows).astype(
            dict.fromkeys(("steps", "steps_before", "source_batch_size", "source_trial"), "Int64")
        ),
        curves=pd.concat(curves, ignore_index=True),
    )


def _trial(rng, size, trial, best, target):
    momentum = 1 - 10 ** rng.uniform(-3, 0)
    ideal = 0.4 * min(1.0, size / 64) * 10 ** rng.normal(0, 0.1)
    away = 0.0 if trial == 3 else rng.uniform(-2.5, 2)
    lr = float(np.clip(ideal * (1 - momentum) * 10**away, 1e-4, 10))
    goal = MAX_STEPS * 2 if best is None else round(best * (1 + 1.5 * abs(away)))
    if trial != 3 and best is not None:
        goal = max(goal, best + 1)
    cap = MAX_STEPS if best is None else min(MAX_STEPS, int(SLACK * best))
    broke = away > 1.2
    last = min(goal, max(1, cap // 10) if broke else cap)
    grid = _measured(last)
    error = 0.9 * (target / 0.9) ** (np.log1p(grid) / np.log1p(goal)) * (1 + 1e-9)
    error[grid == goal] = target * (1 - 1e-9)
    status = "reached" if last == goal else "capped" if best is not None else "exhausted"
    row = {
        "batch_size": size,
        "trial": trial,
        "role": "search",
        "cohort": 0,
        "lr": lr,
        "momentum": momentum,
        "seed": trial,
        "source_batch_size": None,
        "source_role": None,
        "source_trial": None,
        "rule": None,
        "status": "diverged" if broke and last < goal else status,
        "steps": goal if last == goal else None,
        "steps_before": int(grid[-2]) if last == goal else None,
        "stopped_at": last,
        "best_error": float(error[1:].min()),
        "seconds": 0.1,
        "training_seconds": 0.06,
        "evaluation_seconds": 0.03,
        "mode": "packed",
        "pack": 16,
        "micro_batch": size,
        "message": "",
    }
    curve = pd.DataFrame({"step": grid, "val_loss": error, "val_error": error})
    curve = curve.assign(batch_size=size, role="search", trial=trial, train_loss=error, seconds=0.0)
    return row, curve


def _measured(last: int) -> np.ndarray:
    steps, step = [0], 0
    while step < last:
        step = min(max(step + 1, int(step * 1.03)), last)
        steps.append(step)
    return np.array(steps)


@pytest.fixture(scope="session", autouse=True)
def fitted_once():
    """Fit each set of points once: fits are pure, and most tests analyze the same few studies."""
    known = {}

    def fit_best_once(points, gaps, level=0.95):
        data = (points.batch_sizes, points.steps, points.missed)
        weights = [(size, gap.common, gap.weights.tobytes()) for size, gap in gaps.items()]
        key = (*(column.tobytes() for column in data), *weights, level)
        if key not in known:
            known[key] = fit_best(points, gaps, level)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        for user in ("report.goals", "comparison.compare"):
            patch.setattr(f"analysis.{user}.fit_best", fit_best_once)
        yield


@pytest.fixture(scope="session")
def made() -> Callable[..., StudyTables]:
    """The function that makes studies."""
    return make_study


@pytest.fixture(scope="session")
def study() -> StudyTables:
    """A study with all three regimes."""
    return make_study()


@pytest.fixture(scope="session")
def analyzed(study) -> Analysis:
    """The analysis of `study`, made once for all tests, which only look at it."""
    return analyze(study)


SQUARE = {
    "lr": {"low": 1e-4, "high": 1.0, "scale": "log"},
    "momentum": {"low": 0.0, "high": 0.999, "scale": "reverse-log"},
}


def even_points(trials, dimensions, seed):
    return qmc.Halton(dimensions, rng=np.random.default_rng(seed)).random(trials)


def made_values(places, box=SQUARE):
    """Return the hyperparameters at points of the unit square."""
    lr = box["lr"]
    return {
        "lr": lr["low"] * (lr["high"] / lr["low"]) ** places[:, 0],
        "momentum": 1 - (1 - box["momentum"]["high"]) ** places[:, 1],
    }


def made_race(log_steps, broke=None, slack=SLACK):
    """Return steps, NaN beyond slack x the fewest, and errors that rank the misses."""
    broke = np.zeros(len(log_steps), bool) if broke is None else broke
    steps = np.where(broke, np.inf, np.exp(log_steps))
    return np.where(steps <= slack * steps.min(), steps, np.nan), np.where(broke, 5.0, log_steps)


def made_sample(steps, slack=SLACK):
    reached = np.sort(steps[np.isfinite(steps)])
    return SearchSample(steps=reached, trials=len(steps), bound=slack * reached[0])


def race_heavy_ball(lr, momentum, batch_size, most, target=0.01):
    """Race heavy ball on the noisy quadratic with h_i = c_i = 1 / i, d = 100 (arXiv:1907.04164).

    The second moments of theta and of the step u = lr v follow their exact recursion. Returns
    steps, errors and which lanes diverged.
    """
    h = 1 / np.arange(1, 101.0)
    x, b, noise = lr[:, None] * h, momentum[:, None], lr[:, None] ** 2 * h / batch_size
    p, q, r = np.ones_like(x), np.zeros_like(x), np.zeros_like(x)
    steps, errors = np.full(len(lr), np.nan), np.full(len(lr), np.inf)
    broke, live = np.zeros(len(lr), bool), np.arange(len(lr))
    for step in range(1, most + 1):
        if not len(live) or step > SLACK * np.min(steps, where=np.isfinite(steps), initial=np.inf):
            break
        x1, b1, n1 = x[live], b[live], noise[live]
        p1, q1, r1 = p[live], q[live], r[live]
        p[live] = (1 - x1) ** 2 * p1 - 2 * (1 - x1) * b1 * q1 + b1**2 * r1 + n1
        q[live] = (1 - x1) * x1 * p1 + (1 - 2 * x1) * b1 * q1 - b1**2 * r1 - n1
        r[live] = x1**2 * p1 + 2 * x1 * b1 * q1 + b1**2 * r1 + n1
        loss = (h * p[live]).sum(1) / 2
        errors[live] = np.minimum(errors[live], loss)
        broke[live] = loss > 1e6
        steps[live[loss < target]] = step
        live = live[(loss >= target) & (loss <= 1e6)]
    return steps, errors, broke


@pytest.fixture(scope="session")
def points():
    """Scrambled Halton points of the unit square, by (trials, dimensions, seed)."""
    return even_points


@pytest.fixture(scope="session")
def values():
    """Hyperparameters at points of the unit square."""
    return made_values


@pytest.fixture(scope="session")
def race():
    """The race to slack x the fewest steps."""
    return made_race


@pytest.fixture(scope="session")
def sample():
    """The sample of a race."""
    return made_sample


@pytest.fixture(scope="session")
def heavy_ball():
    """The noisy quadratic with heavy ball."""
    return race_heavy_ball


@pytest.fixture(scope="session")
def box():
    """The box that the unit square represents."""
    return SQUARE


LONGEST = 40


def make_small_races(seed: int, target: float = 0.3) -> tuple[StudyTables, StudyTables]:
    """Return a small random study twice: every trial to its budget, and raced to the target."""
    rng = np.random.default_rng(seed)
    full = {}
    for size in 2 ** rng.choice(8, rng.integers(1, 5), replace=False):
        for trial in range(rng.integers(1, 5)):
            fall = rng.uniform(0, 2) * np.log1p(np.arange(1, LONGEST + 1))
            errors = np.round(0.9 * np.exp(-fall * rng.uniform(0.5, 1.2, LONGEST)), 2)
            broke = rng.random() < 0.2
            full[int(size), trial] = errors[: rng.integers(1, LONGEST) if broke else None]
    broke = {key for key, errors in full.items() if len(errors) < LONGEST}
    raced = _raced(full, target)
    unbroken = {key for key in broke if len(raced[key]) < len(full[key])}
    full_study = _tables(full, broke, target, to="budget")
    return full_study, _tables(raced, broke - unbroken, target)


def _raced(full, target):
    """Cut every curve where it reaches the target, or at slack times the fewest steps there."""
    hits = {key: np.flatnonzero(errors < target) for key, errors in full.items()}
    best = {}
    for (size, _), hit in hits.items():
        best[size] = min([best.get(size, LONGEST), *(hit + 1)])
    caps = {size: int(np.ceil(SLACK * steps)) for size, steps in best.items()}
    return {key: errors[: min([caps[key[0]], *(hits[key] + 1)])] for key, errors in full.items()}


def _tables(runs, broke, target, **race):
    rows, curves = [], []
    for (size, trial), errors in runs.items():
        hit = np.flatnonzero(errors < target)
        last = len(errors)
        miss = (
            "diverged" if (size, trial) in broke else "exhausted" if last == LONGEST else "capped"
        )
        steps = int(hit[0]) + 1 if hit.size else None
        row = {
            "batch_size": size,
            "trial": trial,
            "role": "search",
            **dict.fromkeys(("source_batch_size", "source_role", "source_trial", "rule")),
            "lr": 0.1,
            "status": miss if steps is None else "reached",
            "steps": steps,
            "steps_before": None if steps is None else steps - 1,
            "stopped_at": last,
            "best_error": errors.min(),
        }
        rows.append(row)
        at = {"batch_size": size, "role": "search", "trial": trial}
        errors = np.concatenate([[0.95], errors])
        curves.append(pd.DataFrame(at | {"step": np.arange(last + 1), "val_error": errors}))
    trials = pd.DataFrame(rows).astype(dict.fromkeys(("steps", "steps_before"), "Int64"))
    sizes = sorted({size for size, _ in runs})
    config = study_config(sizes, target, {"lr": SPACE["lr"]}, max_steps=LONGEST, **race)
    return StudyTables(
        name="race", config=config, trials=trials, curves=pd.concat(curves, ignore_index=True)
    )


def make_mixed_up(study: StudyTables, seed: int) -> StudyTables:
    """Repeat some rows of the tables and shuffle all."""
    mixed = {
        name: pd.concat([table, table.sample(frac=0.3, random_state=seed)])
        .sample(frac=1, random_state=seed)
        .reset_index(drop=True)
        for name, table in {"trials": study.trials, "curves": study.curves}.items()
    }
    return replace(study, **mixed)


@pytest.fixture(scope="session")
def small_races() -> Callable[..., tuple[StudyTables, StudyTables]]:
    """The function that makes small random studies, to the budget and raced."""
    return make_small_races


@pytest.fixture(scope="session")
def mixed_up() -> Callable[[StudyTables, int], StudyTables]:
    """The function that repeats and shuffles the rows of a study."""
    return make_mixed_up
