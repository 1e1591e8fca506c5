"""Made-up diagnostics of a study."""

import numpy as np
import pandas as pd

from analysis.fitting.estimates import Estimate
from analysis.measures.diagnostics import Diagnosed
from analysis.tables.schema import DIAGNOSTIC_COLUMNS

MOMENTS = (("start", 0), ("between", 5), ("end", 40))
EQUAL = (("end", 40), ("equal steps", 20), ("equal examples", 5))


def _row(what, size, moment, quantity, value, **columns):
    step = dict((*MOMENTS, *EQUAL))[moment]
    key = {"what": what, "batch_size": size, "role": "search", "trial": 3}
    return {**key, "moment": moment, "step": step, "quantity": quantity, "value": value, **columns}


def _interval(value):
    return {"low": 0.8 * value, "high": 1.25 * value}


def noise_rows(size):
    for moment, step in MOMENTS:
        for norm in ("euclidean", "sign", "spectral"):
            value = 10.0 * (1 + step / 10)
            yield _row(
                "noise", size, moment, "noise_scale", value, variant=norm, **_interval(value)
            )


def flat_rows(size):
    values = {("eigenvalue", "1"): size / 4, ("trace", ""): size, ("stability_limit", ""): 2.0}
    values |= {("lr_times_eigenvalue", ""): size / 256, ("eigenvalue", "2"): size / 8}
    for (quantity, variant), value in values.items():
        yield _row("curvature", size, "end", quantity, value, variant=variant)
    for quantity, variant in (("keskar", "epsilon 0.001"), ("adaptive", "rho 0.01")):
        yield _row("sharpness", size, "end", quantity, 0.01 * size, variant=variant)


def landscape_rows(size, other=None):
    for x in np.linspace(-1, 1, 5):
        value = 0.1 + size / 64 * x**2
        ends = {"low": value, "high": value}
        yield _row("landscape", size, "end", "train_loss", value, variant="line", x=x, **ends)
        for y in np.linspace(-1, 1, 5):
            loss = value + y**2
            yield _row("landscape", size, "end", "train_loss", loss, variant="plane", x=x, y=y)
        for quantity in ("train_loss", "val_loss", "train_error", "val_error") if other else ():
            at, value = x + 0.5, 0.2 + x**2 / 10
            variant = f"to B = {other}"
            yield _row("landscape", size, "end", quantity, value, variant=variant, x=at)


def gap_rows(size):
    for moment, _ in EQUAL:
        for quantity, value in (("train_error", 0.1), ("val_error", 0.2), ("error_gap", 0.1)):
            yield _row("gap", size, moment, quantity, value, **_interval(value))


def branch_rows(size):
    """Return branches that lose 1 % with each doubling, and at the end next to nothing."""
    about = {"variant": "linear", "examples": 128, "samples": 5}
    for moment, _ in MOMENTS:
        for k in range(8):
            excess = 0.001 * k if moment == "end" else 0.01 * k
            row = {**about, "x": size * 2.0**k, **_interval(excess)}
            yield _row("branch", size, moment, "excess_loss", excess, **row)
        known = (None, 64.0 * size, None) if moment == "end" else (32.0 * size, 20.0 * size, None)
        ends = dict(zip(("low", "high"), known[1:], strict=True))
        yield _row("branch", size, moment, "critical_batch_size", known[0], **about, **ends)


def layer_rows(size, count):
    for moment, step in MOMENTS:
        for place in range(count):
            name = f"{place // 2}.{'bias' if place % 2 else 'weight'}"
            yield _row("layers", size, moment, "gradient_norm", 1.0, variant=name)
            yield _row("layers", size, moment, "full_gradient_norm", 0.5, variant=name)
            yield _row("layers", size, moment, "full_ratio", 2.0**place / 256, variant=name)
            if step or place != 1:
                ratio = 2.0**place / size / (1 + step)
                yield _row("layers", size, moment, "ratio", ratio, variant=name)


def diagnosed(sizes=(16, 64, 256), count=3, optimizer="sgd", b_crit=(50.0, 40.0, 70.0)):
    """Return the diagnostics of some batch sizes."""
    rows = []
    for size in sizes:
        other = sizes[-1] if size == sizes[0] != sizes[-1] else None
        rows += [*noise_rows(size), *flat_rows(size), *landscape_rows(size, other)]
        rows += [*gap_rows(size), *layer_rows(size, count)]
    rows += branch_rows(sizes[0])
    table = pd.DataFrame(rows).reindex(columns=list(DIAGNOSTIC_COLUMNS))
    table["variant"] = table["variant"].fillna("")
    value, low, high = b_crit or (1.0, 1.0, 1.0)
    estimate = Estimate(value=value, low=low, high=high) if b_crit else None
    return Diagnosed(
        table=table, subject=f"blobs, {optimizer}", optimizer=optimizer, b_crit=estimate
    )
