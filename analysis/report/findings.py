"""What the fits say: in words, and as plain data."""

import math
from collections.abc import Mapping

from analysis.fitting.critical import CriticalBatchSize
from analysis.fitting.fit import Fits, ScalingFit
from analysis.fitting.models import MODELS

ALIKE = 2.0
"""Differences of AICc up to this say little (Burnham and Anderson 2002, section 2.6)."""


def fit_sentences(fits: Fits, critical: Mapping[str, CriticalBatchSize]) -> tuple[str, ...]:
    """Says what the fits found, one sentence each.

    Args:
        fits: the fits.
        critical: the critical batch sizes by name.

    Returns:
        The hyperbola, the choice among the models, the critical batch sizes, and what the data do
        not identify.
    """
    curves = [_curve(fits["hyperbola"])]
    if fits.best is not fits["hyperbola"]:
        curves.append(_curve(fits.best))
    sizes = "; ".join(size.text() for name, size in critical.items() if name != "b_crit")
    return (
        *curves,
        _choice(fits),
        *_not_fitted(fits),
        f"Critical batch sizes by other definitions: {sizes}.",
        *(verdict for fit in _shown(fits) for verdict in verdicts(fit)),
    )


def verdicts(fit: ScalingFit) -> tuple[str, ...]:
    """Says what the points do not identify, with the bound that they do set.

    Args:
        fit: a fit.

    Returns:
        One sentence for each; none where all is identified.
    """
    words = []
    if not fit.s_min.identified:
        words.append(
            "The data do not bound S_min from below: the plateau is not identified "
            f"({fit.s_min.text('S_min')}, {fit.b_crit.text('b_crit')} by the {fit.model.name} fit)."
        )
    if not fit.e_min.identified:
        words.append(
            "The data do not bound E_min from below: perfect scaling is not identified "
            f"({fit.e_min.text('E_min')}, {fit.b_crit.text('b_crit')} by the {fit.model.name} fit)."
        )
    if fit.exponent is not None and not fit.exponent.identified:
        name = str(fit.model.exponent)
        bound = fit.exponent.text(name)
        known = "" if bound.endswith("not identified") else f": {bound}"
        words.append(f"The exponent {name} of the {fit.model.name} fit is not identified{known}.")
    return tuple(words)


def _not_fitted(fits: Fits) -> tuple[str, ...]:
    if not fits.missing:
        return ()
    least = max(MODELS[name].least_points for name in fits.missing)
    return (
        f"Not fitted: {' and '.join(fits.missing)}, which need at least {least} batch sizes that "
        f"reached the target, not {fits['hyperbola'].points.distinct}.",
    )


def _shown(fits: Fits) -> tuple[ScalingFit, ...]:
    """Gives the hyperbola, and the best fit where it is another one."""
    hyperbola = fits["hyperbola"]
    return (hyperbola,) if fits.best is hyperbola else (hyperbola, fits.best)


def _curve(fit: ScalingFit) -> str:
    parts = [fit.s_min.text("S_min"), fit.e_min.text("E_min"), fit.b_crit.text("b_crit")]
    if fit.exponent is not None:
        parts.append(fit.exponent.text(str(fit.model.exponent)))
    misses = int(fit.points.missed.sum())
    bounds = f", {misses} of {fit.points.missed.size} points as lower bounds" if misses else ""
    return (
        f"S(B) = {fit.model.formula}: {', '.join(parts)} ({fit.level:.0%} intervals); "
        f"{fit.noise.name} spread about the curve {math.expm1(fit.sigma):.1%}{bounds}."
    )


def _choice(fits: Fits) -> str:
    values = {name: fit.aicc for name, fit in fits.by_name.items() if fit.aicc is not None}
    if not values:
        return "Too few points to compare models: AICc needs 5."
    least = min(values.values())
    shown = ", ".join(f"{name} {value - least:+.1f}" for name, value in values.items())
    alike = [name for name, value in values.items() if value - least <= ALIKE]
    close = f"; {' and '.join(alike)} fit about as well" if len(alike) > 1 else ""
    return f"Least AICc: {fits.best.model.name} (above it: {shown}{close})."


def fits_record(fits: Fits | None) -> dict[str, object]:
    """Gives the fits as plain finite data; null where unknown or without bound."""
    if fits is None:
        return {"fits": None, "chosen": None, "not_fitted": {}}
    return {
        "fits": {name: _fit_record(fit) for name, fit in fits.by_name.items()},
        "chosen": fits.best.model.name,
        "not_fitted": dict(fits.missing),
    }


def critical_record(critical: Mapping[str, CriticalBatchSize]) -> dict[str, object]:
    """Gives the critical batch sizes as plain finite data."""
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
