"""Fits and critical batch sizes, in sentences and as plain data."""

import math
from collections.abc import Mapping

from analysis.fitting.critical import CriticalBatchSize
from analysis.fitting.fit import Fits, ScalingFit
from analysis.fitting.models import MODELS

ALIKE = 2.0
"""Models within this AICc of the lowest fit about equally well (Burnham and Anderson 2002, 2.6)."""


def fit_sentences(fits: Fits, critical: Mapping[str, CriticalBatchSize]) -> tuple[str, ...]:
    """Return what the fits found, one sentence each.

    These are the hyperbola and the model chosen, the choice, the critical batch sizes by name, and
    what the data do not identify.
    """
    hyperbola = fits["hyperbola"]
    shown = (hyperbola,) if fits.best is hyperbola else (hyperbola, fits.best)
    sizes = "; ".join(size.text() for name, size in critical.items() if name != "b_crit")
    return (
        *map(_curve, shown),
        _choice(fits),
        *_not_fitted(fits),
        f"Critical batch sizes by other definitions: {sizes}.",
        *(sentence for fit in shown for sentence in unidentified_sentences(fit)),
    )


def unidentified_sentences(fit: ScalingFit) -> tuple[str, ...]:
    """Return a sentence for each quantity that the data do not identify, with its bound."""
    sentences = [
        f"The data do not bound {name} from below: {regime} is not identified "
        f"({estimate.text(name)}, {fit.b_crit.text('b_crit')} by the {fit.model.name} fit)."
        for name, estimate, regime in (
            ("S_min", fit.s_min, "the plateau"),
            ("E_min", fit.e_min, "perfect scaling"),
        )
        if not estimate.identified
    ]
    if fit.exponent is not None and not fit.exponent.identified:
        name = str(fit.model.exponent)
        bound = fit.exponent.text(name)
        known = "" if bound.endswith("not identified") else f": {bound}"
        sentences.append(
            f"The exponent {name} of the {fit.model.name} fit is not identified{known}."
        )
    return tuple(sentences)


def _not_fitted(fits: Fits) -> tuple[str, ...]:
    if not fits.missing:
        return ()
    least = max(MODELS[name].least_points for name in fits.missing)
    return (
        f"Not fitted: {' and '.join(fits.missing)}, which need at least {least} batch sizes that "
        f"reached the target; there are {fits['hyperbola'].points.distinct}.",
    )


def _curve(fit: ScalingFit) -> str:
    parts = [fit.s_min.text("S_min"), fit.e_min.text("E_min"), fit.b_crit.text("b_crit")]
    if fit.exponent is not None:
        parts.append(fit.exponent.text(str(fit.model.exponent)))
    misses = int(fit.points.missed.sum())
    bounds = f"; {misses} of {fit.points.missed.size} points are lower bounds" if misses else ""
    return (
        f"S(B) = {fit.model.formula}: {', '.join(parts)} ({fit.level:.0%} intervals); "
        f"{fit.noise.name} spread of {math.expm1(fit.sigma):.1%} about the curve{bounds}."
    )


def _choice(fits: Fits) -> str:
    values = {name: fit.aicc for name, fit in fits.by_name.items() if fit.aicc is not None}
    if not values:
        return "Too few points to compare models: AICc needs at least 5."
    least = min(values.values())
    shown = ", ".join(f"{name} {value - least:+.1f}" for name, value in values.items())
    alike = [name for name, value in values.items() if value - least <= ALIKE]
    close = f"; {' and '.join(alike)} fit about equally well" if len(alike) > 1 else ""
    return f"Lowest AICc: {fits.best.model.name} (differences: {shown}{close})."


def fits_record(fits: Fits | None) -> dict[str, object]:
    """Return the fits as JSON data; null where unknown or without bound."""
    if fits is None:
        return {"fits": None, "chosen": None, "not_fitted": {}}
    return {
        "fits": {name: _fit_record(fit) for name, fit in fits.by_name.items()},
        "chosen": fits.best.model.name,
        "not_fitted": dict(fits.missing),
    }


def critical_record(critical: Mapping[str, CriticalBatchSize]) -> dict[str, object]:
    """Return the critical batch sizes as JSON data."""
    return {name: {**size.estimate.record(), "note": size.note} for name, size in critical.items()}


def _fit_record(fit: ScalingFit) -> dict[str, object]:
    return {
        "formula": fit.model.formula,
        "s_min": dict(fit.s_min.record()),
        "e_min": dict(fit.e_min.record()),
        "b_crit": dict(fit.b_crit.record()),
        "exponent": None if fit.exponent is None else dict(fit.exponent.record()),
        "sigma": fit.sigma,
        "noise": fit.noise.name,
        "level": fit.level,
        "log_likelihood": fit.log_likelihood,
        "aicc": fit.aicc,
        "batch_sizes": fit.points.batch_sizes.tolist(),
        "missed": fit.points.missed.tolist(),
        "residuals": fit.residuals.tolist(),
    }
