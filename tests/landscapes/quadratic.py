"""Noisy quadratics as landscapes: exact steps to target at any point, and their minimum."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.stats import qmc

from study.engine.outcomes import Run
from study.records import Curve
from workloads.builtin import quadratic
from workloads.workload import LaneSetup

BATCH_SIZES = tuple(4**power for power in range(1, 10))
TRIALS, SETS = 64, 32
BEYOND = 2.5
"""Points are followed for this multiple of their set's fewest steps; a race stops earlier."""
_FINE = 64
"""Steps that are measured one by one, and measurements in each doubling of the step after that."""
_LAST = 2**21
_PER_DOUBLING = 24
"""Measurements in each doubling of the step, which are 3 to 4 % apart, as in a race."""
_BLOWN_UP = 1e6
_BOXES = quadratic.NoisyQuadratic.study_defaults["search"]["space"]


@dataclass(frozen=True)
class Landscape:
    """A noisy quadratic with h_i = i^-a and c_i = i^-b, an optimizer and a target."""

    optimizer: str
    a: float
    b: float
    target: float
    dimension: int = 100

    batch_sizes = BATCH_SIZES
    max_steps = 2**18

    @property
    def options(self) -> Mapping[str, float]:
        """The workload's options."""
        return {name: getattr(self, name) for name in ("a", "b", "target", "dimension")}

    @property
    def space(self):
        """The default box, as a study file has it."""
        names = ("lr",) if self.optimizer == "sgd" else ("lr", "momentum")
        return {name: _BOXES[name] for name in names}

    def hyperparameters(self, places) -> Mapping[str, np.ndarray]:
        """Return the values at places of the unit square, shape (points, searched)."""
        return {
            name: _value(entry, column)
            for (name, entry), column in zip(self.space.items(), places.T, strict=True)
        }

    def steps(self, batch_size, places):
        """Return the steps to target at places of the unit square, infinite for none."""
        return steps_to_target(self, batch_size, places, np.zeros(len(places), int))

    def b_crit(self, fewest):
        """Return E_min / S_min from the fewest steps at the smallest and the largest batch size.

        In every landscape of the bank, the first is in the regime of perfect scaling and the last
        on the plateau. The hyperbola through all of them and the smooth maximum agree within 5 %.
        """
        return fewest[0] * self.batch_sizes[0] / fewest[-1]

    def runs(self, cohort, rules, noise, far):
        """Return the runs of a cohort, `far` times as long as a race without rungs."""
        rngs = [np.random.default_rng(point.seed) for point in cohort.points]
        stretch = np.exp([noise * rng.standard_normal() for rng in rngs])
        grid, losses = _losses(self, cohort, stretch, rules, far)
        curves = [_curve(grid, *lane) for lane in zip(stretch, losses.T, strict=True)]
        return [Run(curve=curve, diverged_at=diverged_at) for curve, diverged_at in curves]


TUNED_ON = (
    Landscape("heavy-ball", 1.0, 1.0, 0.01),
    Landscape("heavy-ball", 1.0, 0.5, 0.05),
    Landscape("heavy-ball", 0.5, 0.5, 0.03),
    Landscape("heavy-ball", 1.5, 1.0, 0.02),
    Landscape("sgd", 1.0, 1.0, 0.01),
    Landscape("sgd", 0.5, 1.0, 0.02),
)
HELD_OUT = (
    Landscape("heavy-ball", 0.75, 1.0, 0.02),
    Landscape("heavy-ball", 1.25, 0.75, 0.03),
    Landscape("sgd", 1.25, 0.5, 0.03),
)
"""Spectra on which nothing was tuned."""


def _value(entry, place):
    if entry["scale"] == "log":
        return entry["low"] * (entry["high"] / entry["low"]) ** place
    return 1 - (1 - entry["low"]) * ((1 - entry["high"]) / (1 - entry["low"])) ** place


def steps_to_target(landscape, batch_size, places, sets, beyond=BEYOND):
    """Return the steps to target of every point, not rounded to whole ones; shape (points,).

    They are infinite for a point that diverges, or does not reach the target within `beyond` times
    the fewest steps of its set.

    Args:
        landscape: the quadratic.
        batch_size: examples per step.
        places: points of the unit square, shape (points, searched).
        sets: number of each point's set, shape (points,).
        beyond: points are followed for this multiple of their set's fewest steps.
    """
    lanes = _lanes(landscape, batch_size, landscape.hyperparameters(places))
    steps = np.full(len(places), np.inf)
    caps = np.full(sets.max() + 1, float(_LAST))
    live, before = np.arange(len(places)), lanes._loss()
    step, stride = 0, 1
    with np.errstate(over="ignore", invalid="ignore"):
        update = lanes._update(lanes._lr, batch_size)
        while len(live) and step < _LAST:
            if step == 2 * stride * _FINE:
                stride, update = 2 * stride, quadratic._twice(update)
            lanes._apply(update)
            step += stride
            loss = lanes._loss()
            hit = loss < landscape.target
            # between measurements, the loss falls about geometrically
            share = np.log(before[hit] / landscape.target) / np.log(before[hit] / loss[hit])
            steps[live[hit]] = step - stride * (1 - share)
            np.minimum.at(caps, sets[live[hit]], beyond * step)
            stay = ~hit & (loss < 1e6) & (step < caps[sets[live]])
            before = loss[stay]
            if not stay.all():
                live = live[stay]
                lanes.keep(stay)
                update = tuple(part[..., stay, :] for part in update)
    return steps


def lanes_of(landscape, batch_size, number, trials):
    """Return the lanes of a slice of a set's trials."""
    places = _points(len(landscape.space), batch_size, number, TRIALS)[trials]
    return _lanes(landscape, batch_size, landscape.hyperparameters(places))


def _lanes(landscape, batch_size, values):
    workload = quadratic.NoisyQuadratic(**landscape.options)
    return workload.lanes(
        LaneSetup(
            optimizer=landscape.optimizer,
            batch_size=batch_size,
            hyperparameters=values,
            lr_factor=None,
            seeds=np.zeros(len(values["lr"]), dtype=np.int64),
        )
    )


def _points(searched, batch_size, number, trials):
    """Return the points of a set at a batch size: scrambled Halton, as a sweep draws them."""
    rng = np.random.default_rng([number, batch_size])
    return qmc.Halton(searched, scramble=True, rng=rng).random(trials)


@cache
def searched_steps(landscape, sets=SETS, trials=TRIALS, beyond=BEYOND):
    """Return the steps at the points of every set, shape (batch sizes, sets, trials)."""
    of, searched = np.repeat(np.arange(sets), trials), len(landscape.space)
    rows = [
        steps_to_target(
            landscape,
            size,
            np.concatenate([_points(searched, size, number, trials) for number in range(sets)]),
            of,
            beyond,
        )
        for size in BATCH_SIZES
    ]
    return np.array(rows).reshape(len(BATCH_SIZES), sets, trials)


@cache
def fewest_steps(landscape):
    """Return the fewest steps in the search space at each batch size, shape (batch sizes,).

    They are searched on a grid, then on finer and finer ones around the best point so far.
    """
    return np.array([_fewest(landscape, size) for size in landscape.batch_sizes])


def _fewest(landscape, batch_size):
    searched = len(landscape.space)
    line = np.linspace(0.0, 1.0, 97 if searched == 1 else 41)
    center, half, best = np.full(searched, 0.5), 0.5, np.inf
    for _ in range(6):
        axes = [np.clip(at + half * (2 * line - 1), 0.0, 1.0) for at in center]
        places = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, searched)
        steps = landscape.steps(batch_size, places)
        if steps.min() < best:
            best, center = steps.min(), places[steps.argmin()]
        line, half = np.linspace(0.0, 1.0, 17), half * (0.15 if half == 0.5 else 0.4)
    return best


def true_b_crit(landscape):
    """Return the critical batch size of the fewest steps in the search space."""
    return landscape.b_crit(fewest_steps(landscape))


def _losses(landscape, cohort, stretch, rules, far):
    """Return the steps of measurements and every lane's losses there, NaN after it is dropped.

    Lanes are followed `far` times as long as in a race without rungs.
    """
    values = {n: np.array([p.values[n] for p in cohort.points]) for n in landscape.space}
    lanes = _lanes(landscape, cohort.batch_size, values)
    live, rows, grid = np.arange(len(stretch)), [lanes._loss()], [0]
    end = rules.max_steps / stretch.min()
    if rules.best_steps is not None:
        end = far * rules.slack * rules.best_steps / stretch.min()
    stride = 1
    with np.errstate(over="ignore", invalid="ignore"):
        update = lanes._update(lanes._lr, cohort.batch_size)
        while len(live) and grid[-1] < end * 1.05:
            if grid[-1] == 2 * stride * _PER_DOUBLING:
                stride, update = 2 * stride, quadratic._twice(update)
            lanes._apply(update)
            grid.append(grid[-1] + stride)
            loss = lanes._loss()
            row = np.full(len(stretch), np.nan)
            row[live] = np.where(loss < _BLOWN_UP, loss, np.inf)
            rows.append(row)
            hit = loss < landscape.target
            if rules.shared and hit.any():
                fewest = (grid[-1] * stretch[live[hit]]).min()
                end = min(end, far * rules.slack * fewest / stretch.min())
            stay = ~hit & (loss < _BLOWN_UP)
            if not stay.all():
                live = live[stay]
                lanes.keep(stay)
                update = tuple(part[..., stay, :] for part in update)
    return np.array(grid), np.array(rows)


def _curve(grid, stretch, losses):
    """Return a lane's curve, and the step at which it blew up, None if it did not."""
    blown = np.flatnonzero(np.isposinf(losses))
    steps = np.ceil(grid * stretch).astype(int)
    good = np.isfinite(losses)
    # steps are rounded up, so losses are interpolated at the rounded steps
    steps, log_losses = np.unique(steps[good]), np.log(losses[good])
    loss = np.exp(np.interp(steps / stretch, grid[good], log_losses))
    nothing = np.zeros(len(steps))
    curve = Curve(step=steps, train_loss=nothing, val_loss=loss, val_error=loss, seconds=nothing)
    return curve, int(np.ceil(grid[blown[0]] * stretch)) if blown.size else None
