"""The regimes in sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.fitting.estimates import size_text
from analysis.fitting.regimes import LEAST_SEEN, ORDER, Regime, Verdict

_NAMES = {
    Regime.PERFECT: ("Perfect scaling", "is", "it"),
    Regime.DIMINISHING: ("Diminishing returns", "are", "them"),
    Regime.PLATEAU: ("The plateau", "is", "it"),
}
_NONE = {
    Regime.PERFECT: "No perfect scaling within the measured range: steps do not fall from B = {} "
    "on.",
    Regime.DIMINISHING: "No diminishing returns within the measured range.",
    Regime.PLATEAU: "No plateau within the measured range: steps still fall up to B = {}.",
}


def regime_sentences(record: Mapping[str, Any], bounds: Sequence[float] = ()) -> tuple[str, ...]:
    """Return a sentence on each regime of a `Regimes.record`: where it lies, or what is unknown.

    Batch sizes of which only a lower bound of the steps is known, `bounds`, have no regime.
    """
    sizes = list(record["of"])
    by_points = record["by_points"]
    if by_points[Regime.PERFECT] == by_points[Regime.PLATEAU]:
        return (
            f"No regime is resolved: B = {sizes[0]} to {sizes[-1]} is too narrow a range to tell "
            "perfect scaling from a plateau; measure batch sizes further apart.",
        )
    return tuple(_sentence(regime, record, bounds) for regime in ORDER)


def _sentence(regime: Regime, record: Mapping[str, Any], bounds: Sequence[float]) -> str:
    verdict, sizes = record["verdicts"][regime], list(record["of"])
    if verdict == Verdict.NONE:
        return _NONE[regime].format(sizes[-1] if regime is Regime.PLATEAU else sizes[0])
    name, verb, pronoun = _NAMES[regime]
    if verdict == Verdict.NOT_RESOLVED:
        candidates = [size_text(size) for size in record["by_points"][regime]]
        return f"{name} {verb} not resolved: {_reason(regime, candidates, sizes[-1], pronoun)}."
    name = name.removeprefix("The ").capitalize()
    inside = [size for size, place in record["of"].items() if place == regime]
    if len(inside) < LEAST_SEEN:
        return f"{name} at B = {inside[0]}, where at a sharp knee the other regime holds too."
    where = "over the whole measured range," if len(inside) == len(sizes) else "from"
    first, last = float(inside[0]), float(inside[-1])
    between = ", ".join(size_text(size) for size in sorted(bounds) if first < size < last)
    but = f", except {between}, where only a lower bound is known" if between else ""
    return f"{name} {where} B = {inside[0]} to {inside[-1]}{but}."


def _reason(regime: Regime, candidates: list[str], last: str, pronoun: str) -> str:
    if len(candidates) >= LEAST_SEEN:
        return (
            f"the noise leaves open whether B = {candidates[0]} to {candidates[-1]} lie in "
            f"{pronoun}"
        )
    if not candidates:
        return f"no measured batch size lies in {pronoun}, and the data do not exclude {pronoun}"
    if regime is Regime.PLATEAU:
        return f"steps still fall up to B = {last}, the only batch size that may lie on it"
    return f"of the measured batch sizes, only B = {candidates[0]} may lie in {pronoun}"
