"""Fits and critical batch sizes as plain data, and sentences on them and on the regimes."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analysis.fitting.critical import FORM, SEEDS, TUNING, CriticalBatchSize
from analysis.fitting.estimates import Estimate, Interval, counted, list_text, percent, size_text
from analysis.fitting.fit import Fits, ScalingFit
from analysis.fitting.models import MODELS
from analysis.fitting.points import OUT_OF_REACH
from analysis.fitting.regimes import MIN_SEEN, ORDER, Regime, Verdict

ALIKE = 2.0
"""Models within this AICc of the lowest fit about equally well (Burnham and Anderson 2002, 2.6)."""
STEPS = "steps"
_FEW = 50
"""Below this many steps, half a step is an error of more than 1 %."""
_Record = Mapping[str, Any]


def fits_record(fits: Fits | None, local_steps: int = 1) -> dict[str, Any]:
    """Return the fits as JSON data; null if unknown or unbounded.

    E_min counts the examples of all local steps of a round.
    """
    if fits is None:
        return {"fits": None, "chosen": None, "shown": [], "not_fitted": {}}
    return {
        "fits": {name: _fit_record(fit, local_steps) for name, fit in fits.by_name.items()},
        "chosen": fits.best.model.name,
        "shown": [fit.model.name for fit in fits.shown],
        "not_fitted": dict(fits.missing),
    }


def critical_record(critical: Mapping[str, CriticalBatchSize]) -> dict[str, Any]:
    """Return the critical batch sizes as JSON data."""
    records = {}
    for name, size in critical.items():
        parts = {source: estimate.record() for source, estimate in size.parts.items()}
        records[name] = {**size.estimate.record(), "note": size.note}
        records[name] |= {"parts": parts} if parts else {}
    return records


def _fit_record(fit: ScalingFit, local_steps: int) -> dict[str, Any]:
    formula = fit.model.formula
    if local_steps > 1:
        formula = formula.replace("E_min / B", f"E_min / ({local_steps} B)")
    return {
        "formula": formula,
        "s_min": fit.s_min.record(),
        "e_min": fit.e_min.times(local_steps).record() if fit.model.counts_examples else None,
        "b_crit": fit.b_crit.record(),
        "exponent": None if fit.exponent is None else fit.exponent.record(),
        "sigma": fit.sigma,
        "noise": fit.noise.name,
        "level": fit.level,
        "log_likelihood": fit.log_likelihood,
        "aicc": fit.aicc,
        "batch_sizes": fit.points.batch_sizes.tolist(),
        "missed": fit.points.missed.tolist(),
        "steps": fit.points.steps.tolist(),
        "before": fit.points.before.tolist(),
        "residuals": fit.residuals.tolist(),
    }


def fit_sentences(record: _Record, critical: _Record, unit: str = STEPS) -> tuple[str, ...]:
    """Return `critical_sentences` and `curve_sentences`; a step is called `unit`, in the plural."""
    return (*critical_sentences(record, critical), *curve_sentences(record, unit))


def critical_sentences(record: _Record, critical: _Record) -> Iterator[str]:
    """Yield the critical batch size by each definition; `critical` is a `critical_record`."""
    yield from b_crit_sentences(record, critical["b_crit"])
    others = {name: size for name, size in critical.items() if name != "b_crit"}
    known = {name: size for name, size in others.items() if not _unbounded(size)}
    if known:
        sizes = "; ".join(critical_text(name, size) for name, size in known.items())
        yield f"By other definitions: {sizes}."
    if unknown := [name for name in others if name not in known]:
        yield f"Not identified: {', '.join(unknown)}."


def curve_sentences(record: _Record, unit: str = STEPS) -> Iterator[str]:
    """Yield what the curves run through, the hyperbola and the model chosen, and the choice."""
    yield from _brackets(record["fits"]["hyperbola"])
    shown = {name: record["fits"][name] for name in record["shown"]}
    yield from (_curve(name, fit, unit) for name, fit in shown.items())
    yield from _choice(record)
    yield from _not_fitted(record)
    for name, fit in shown.items():
        yield from unidentified_sentences(name, fit)


def b_crit_sentences(record: _Record, b_crit: _Record) -> Iterator[str]:
    """Yield the critical batch size with its interval and its parts, from `critical_record`."""
    level, parts = record["fits"]["hyperbola"]["level"], b_crit["parts"]
    covered = f"{level:.0%} interval for {list_text(parts)}"
    found = f"{Estimate.of(b_crit).text('b_crit')}; {covered}"
    if _unbounded(b_crit):
        found = f"b_crit is not identified: the {covered} is open at both ends"
    yield f"{found}; {b_crit['note']}." if b_crit["note"] else f"{found}."
    texts = [
        f"{Estimate.of(parts[name]).text()} {word}"
        for name, word in ((SEEDS, "by seeds alone"), (TUNING, "with under-tuning"))
        if name in parts and not _unbounded(parts[name])
    ]
    if len(parts) > 1 and texts:
        yield f"From the {record['chosen']} fit alone: {', '.join(texts)}."
    if FORM not in parts:
        yield (
            "No interval covers the form of the curve: too few batch sizes reached the target to "
            "fit more than the hyperbola."
        )


def _unbounded(record: _Record) -> bool:
    """Return whether the data bound an entry of `critical_record` on neither side."""
    return Estimate.of(record).interval is Interval.OPEN


def _brackets(fit: _Record) -> Iterator[str]:
    """Yield how far curves lie below the steps: half a bracket, or half a step if there is none."""
    pairs = [*zip(fit["before"], fit["steps"], strict=True)]
    if most := max((steps - before) / (2 * steps) for before, steps in pairs):
        yield (
            "Curves run through brackets, from the last measurement that had not reached the "
            f"target to the first that had: their middles lie up to {percent(most)} below the "
            "steps shown."
        )
        return
    fewest = min(fit["steps"])
    if fewest < _FEW and all(float(steps).is_integer() for steps in fit["steps"]):
        yield (
            "Steps are taken as exact. If they count updates, which end up to one late, curves lie "
            f"up to {percent(0.5 / fewest)} lower: give the step before (`steps_before` in a table "
            "of runs, `before` in Python)."
        )


def critical_text(name: str, record: _Record) -> str:
    """Return an entry of `critical_record` as text: name, value, interval and note."""
    note = record["note"]
    return f"{Estimate.of(record).text(name)}{', ' if note else ''}{note}"


def lower_bounds(record: _Record) -> list[float]:
    """Return the batch sizes in a `fits_record` that missed the target."""
    points = record["fits"]["hyperbola"]
    sizes = zip(points["batch_sizes"], points["missed"], strict=True)
    return [size for size, missed in sizes if missed]


def unexplained_sentences(record: _Record) -> Iterator[str]:
    """Yield which batch sizes of a summary no curve can describe."""
    if sizes := ", ".join(map(str, record.get("unexplained", ()))):
        yield (
            f"B = {sizes}: more than {OUT_OF_REACH:g} times the {record['unit']} that a curve from "
            "perfect scaling to a plateau allows given the other batch sizes, so no fit describes "
            "these data: check the searches."
        )


def unidentified_sentences(name: str, fit: _Record) -> Iterator[str]:
    """Yield a sentence on each parameter of a model that the data do not identify."""
    b_crit = Estimate.of(fit["b_crit"])
    if _unbounded(fit["b_crit"]):
        yield f"Neither perfect scaling nor the plateau is identified by the {name} fit."
    elif not b_crit.identified:
        what = "The plateau" if math.isinf(b_crit.high) else "Perfect scaling"
        yield f"{what} is not identified by the {name} fit: {b_crit.text(f'b_crit_{name}')}."
    if fit["exponent"] is None:
        return
    symbol, exponent = str(MODELS[name].exponent), Estimate.of(fit["exponent"])
    if not exponent.identified:
        known = "" if exponent.interval is Interval.OPEN else f": {exponent.text(symbol)}"
        yield f"The exponent {symbol} of the {name} fit is not identified{known}."
    if name == "power" and (exponent.low > 1 or (exponent.identified and exponent.value > 1)):
        yield (
            f"An exponent {symbol} above 1 is not a property of training, where doubling the batch "
            "size at best halves the steps: it bends the curve to fit a sharp knee, or small batch "
            "sizes that were searched less well."
        )


def _not_fitted(record: _Record) -> Iterator[str]:
    if names := list(record["not_fitted"]):
        reached = {*record["fits"]["hyperbola"]["batch_sizes"]} - {*lower_bounds(record)}
        yield (
            f"Not fitted: {' and '.join(names)}, which need at least "
            f"{max(MODELS[name].least_points for name in names)} batch sizes that reached the "
            f"target; there are {len(reached)}."
        )


def _curve(name: str, fit: _Record, unit: str) -> str:
    parts = [Estimate.of(fit["s_min"]).text("S_min", unit)]
    if fit["e_min"] is not None:
        parts.append(Estimate.of(fit["e_min"]).text("E_min", "examples"))
    parts.append(Estimate.of(fit["b_crit"]).text(f"b_crit_{name}"))
    if fit["exponent"] is not None:
        parts.append(Estimate.of(fit["exponent"]).text(str(MODELS[name].exponent)))
    misses = sum(fit["missed"])
    bounds = f"; {counted(misses, 'lower bounds')} among {len(fit['missed'])} points" * (misses > 0)
    return (
        f"S(B) = {fit['formula']}: {', '.join(parts)} ({fit['level']:.0%} intervals); "
        f"{fit['noise']} spread of {percent(math.expm1(fit['sigma']), 1)} about the curve{bounds}."
    )


def _choice(record: _Record) -> Iterator[str]:
    known = {name: fit["aicc"] for name, fit in record["fits"].items() if fit["aicc"] is not None}
    if not known:
        yield "Too few points to compare models: AICc needs at least 5."
    if len(known) <= 1:
        return
    least = min(known.values())
    shown = ", ".join(f"{name} {value - least:+.1f}" for name, value in known.items())
    alike = [name for name, value in known.items() if value - least <= ALIKE]
    close = f"; {' and '.join(alike)} fit about equally well" if len(alike) > 1 else ""
    yield f"Lowest AICc: {record['chosen']} (differences: {shown}{close})."


_REGIMES = {
    Regime.PERFECT: ("Perfect scaling", "is", "it"),
    Regime.DIMINISHING: ("Diminishing returns", "are", "them"),
    Regime.PLATEAU: ("The plateau", "is", "it"),
}
_NO_REGIME = {
    Regime.PERFECT: "No perfect scaling within the measured range: steps do not fall from B = {} "
    "on.",
    Regime.DIMINISHING: "No diminishing returns within the measured range.",
    Regime.PLATEAU: "No plateau within the measured range: steps still fall up to B = {}.",
}


def regime_sentences(record: _Record, bounds: Sequence[float] = ()) -> tuple[str, ...]:
    """Return a sentence on each regime of a `Regimes.record`: where it lies, or why that is open.

    `bounds` are batch sizes with only a lower bound on the steps; they have no regime.
    """
    sizes = list(record["of"])
    by_points = record["by_points"]
    if by_points[Regime.PERFECT] == by_points[Regime.PLATEAU]:
        return (
            f"No regime is resolved: B = {sizes[0]} to {sizes[-1]} is too narrow a range to tell "
            "perfect scaling from a plateau; measure batch sizes further apart.",
        )
    return tuple(_regime(regime, record, bounds) for regime in ORDER)


def _regime(regime: Regime, record: _Record, bounds: Sequence[float]) -> str:
    verdict, sizes = record["verdicts"][regime], list(record["of"])
    if verdict == Verdict.NONE:
        return _NO_REGIME[regime].format(sizes[-1] if regime is Regime.PLATEAU else sizes[0])
    name, verb, pronoun = _REGIMES[regime]
    if verdict == Verdict.NOT_RESOLVED:
        candidates = [size_text(size) for size in record["by_points"][regime]]
        return f"{name} {verb} not resolved: {_reason(regime, candidates, sizes[-1], pronoun)}."
    name = name.removeprefix("The ").capitalize()
    inside = [size for size, regime_there in record["of"].items() if regime_there == regime]
    if len(inside) < MIN_SEEN:
        return f"{name} at B = {inside[0]}, where at a sharp knee the other regime holds too."
    where = "over the whole measured range," if len(inside) == len(sizes) else "from"
    first, last = float(inside[0]), float(inside[-1])
    between = ", ".join(size_text(size) for size in sorted(bounds) if first < size < last)
    but = f", except {between}, where only a lower bound is known" if between else ""
    return f"{name} {where} B = {inside[0]} to {inside[-1]}{but}."


def _reason(regime: Regime, candidates: list[str], last: str, pronoun: str) -> str:
    if len(candidates) >= MIN_SEEN:
        return (
            f"the noise leaves open whether B = {candidates[0]} to {candidates[-1]} lie in "
            f"{pronoun}"
        )
    if not candidates:
        return f"no measured batch size lies in {pronoun}, and the data do not exclude {pronoun}"
    if regime is Regime.PLATEAU:
        return f"steps still fall up to B = {last}, the only batch size that may lie on it"
    return f"of the measured batch sizes, only B = {candidates[0]} may lie in {pronoun}"
