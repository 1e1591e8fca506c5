"""What a comparison of studies found, in sentences."""

from collections.abc import Iterable, Sequence

from analysis.comparison.compare import Compared, Comparison, Ratio
from analysis.comparison.rule_costs import rule_cost_sentences
from analysis.fitting.estimates import rounded
from analysis.fitting.ratios import LEVEL
from analysis.measures.federated import round_sentences
from analysis.measures.recipes import follows_rule
from analysis.report.findings import verdicts

_CAVEAT = (
    "Intervals and test take independent scatter about each study's own hyperbola, with a spread "
    "of its own, as all there is to doubt: a search cut short or a curve of another bend moves "
    "b_crit by more."
)


def comparison_sentences(comparison: Comparison) -> tuple[str, ...]:
    """Says what a comparison found, one sentence each.

    Args:
        comparison: the comparison.

    Returns:
        What is compared and how far that is fair, who needs fewer steps at small and at large
        batch sizes, whose b_crit is larger and by what factor, and whether that is significant.
    """
    return (
        *_targets(comparison),
        *_measures(comparison),
        *_misses(comparison.studies),
        *_steps(comparison),
        *rule_cost_sentences(comparison),
        *_b_crit(comparison),
        normalisation_words(comparison),
    )


def normalisation_words(comparison: Comparison) -> str:
    """Says what steps are divided by in the normalised columns and figure."""
    to = comparison.normalisation
    if to.batch_size is None:
        return (
            "Steps are not normalised: no batch size reached the target in all studies, and some "
            "study has no fit."
        )
    if to.measured:
        return (
            f"Normalised steps are divided by each study's own at B = {to.batch_size}, the "
            "smallest batch size that reached the target in all."
        )
    return (
        "No batch size reached the target in all studies: normalised steps are divided by those of "
        f"each study's hyperbola at B = {to.batch_size}."
    )


def _listed(items: Iterable[str]) -> str:
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last


def _targets(comparison: Comparison) -> tuple[str, ...]:
    studies = comparison.studies
    words = [
        f"{study.label}: {sentence}"
        for study in studies
        for sentence in round_sentences(study.analysis.study.config)
    ]
    if len({study.analysis.target for study in studies}) > 1:
        goals = _listed(f"{study.analysis.target:g} ({study.label})" for study in studies)
        words.append(
            f"The studies have different targets, {goals}: steps are those of each to its own."
        )
    if len({str(study.analysis.study.config["workload"]) for study in studies}) > 1:
        words.append(
            "The studies are of different workloads: how steps fall with batch size compares, how "
            "many there are says little."
        )
    return tuple(words)


def _measures(comparison: Comparison) -> tuple[str, ...]:
    studies = comparison.studies
    if comparison.medians:
        return ("Steps are the medians of fresh seeds, in all studies.",)
    partly = [study.label for study in studies if study.analysis.table["seeds"].notna().any()]
    words = ["Steps are the fewest over trials" + (", in all studies" if partly else "")]
    if partly:
        words.append(
            f"; medians of fresh seeds, which {_listed(partly)} "
            f"{'has' if len(partly) == 1 else 'have'}, are not there for every study and do not mix"
        )
    counts = [_trials(study) for study in studies]
    if len(set(counts)) == 1:
        return (f"{''.join(words)}; {counts[0]} trials at each batch size.",)
    shown = _listed(
        f"{count} ({study.label})" for count, study in zip(counts, studies, strict=True)
    )
    rules = any(follows_rule(study.analysis.study) for study in studies)
    equal = "" if rules else ", and --equal-trials takes as many of each"
    return (
        f"{''.join(words)}.",
        f"Trials at each batch size: {shown}; more trials find fewer steps{equal}.",
    )


def _trials(study: Compared) -> str:
    trials = study.analysis.table["trials"]
    low, high = int(trials.min()), int(trials.max())
    return str(low) if low == high else f"{low} to {high}"


def _misses(studies: Sequence[Compared]) -> tuple[str, ...]:
    """Says which batch sizes missed, and which of them are in no fit."""
    words = []
    for study in studies:
        points = study.points
        if points.missed.any():
            missed = _listed(f"{size:g}" for size in points.batch_sizes[points.missed])
            out = points.batch_sizes[points.out_of_reach()]
            left_out = ""
            if out.size:
                left_out = (
                    f"; no curve passes by {_listed(f'{b:g}' for b in out)}, so that the fit "
                )
                left_out += "leaves them out" if out.size > 1 else "leaves it out"
            words.append(f"{study.label} missed the target at B = {missed}{left_out}.")
    return tuple(words)


def _steps(comparison: Comparison) -> tuple[str, ...]:
    common = comparison.common
    if not common:
        return ("No batch size reached the target in all studies: their steps do not meet.",)
    ends = {common[0]: "smallest", common[-1]: "largest"}
    return tuple(_steps_at(comparison.studies, size, end) for size, end in ends.items())


def _steps_at(studies: Sequence[Compared], batch_size: int, end: str) -> str:
    ranked = sorted(studies, key=lambda study: study.reached[batch_size])
    least = ranked[0].reached[batch_size]
    others = ", ".join(
        f"{study.label} {rounded(study.reached[batch_size])} "
        f"({study.reached[batch_size] / least:.2f} x)"
        for study in ranked[1:]
    )
    return (
        f"At B = {batch_size}, the {end} that all reached, {ranked[0].label} needs the fewest "
        f"steps, {rounded(least)}; {others}."
    )


def _b_crit(comparison: Comparison) -> tuple[str, ...]:
    by_name = {study.name: study for study in comparison.studies}
    without = [study.label for study in comparison.studies if study.fit is None]
    words = [f"No fit, and so no b_crit, for {_listed(without)}."] if without else []
    if comparison.equality is None:
        return (*words, "b_crit is not compared: fewer than two studies have a fit.")
    first = comparison.ratios[0].under
    words += [_ratio(ratio, by_name) for ratio in comparison.ratios if ratio.under == first]
    words.append(_verdict(comparison))
    words += [
        f"{study.label}: {verdict}"
        for study in comparison.studies
        if study.fit is not None
        for verdict in verdicts(study.fit)
    ]
    bent = [s.label for s in comparison.studies if s.fits is not None and s.fits.best is not s.fit]
    if bent:
        words.append(
            f"Another curve than the hyperbola has the least AICc for {_listed(bent)}; the table "
            "of critical batch sizes has that one's too."
        )
    return (*words, _CAVEAT)


def _ratio(ratio: Ratio, by_name: dict[str, Compared]) -> str:
    """Says a ratio from the side of the larger b_crit, where that is known."""
    factor, over, under = ratio.estimate, by_name[ratio.over], by_name[ratio.under]
    if factor.value < 1:
        factor, over, under = factor.inverse(), under, over
    sizes = " against ".join(
        study.fit.b_crit.text("b_crit").removeprefix("b_crit ").removeprefix("= ")
        for study in (over, under)
        if study.fit is not None
    )
    names = f"that of {under.label}"
    if factor.identified:
        low, high = rounded(factor.low), rounded(factor.high)
        times = f"{rounded(factor.value)} x {names} ({LEVEL:.0%} interval {low}\N{EN DASH}{high})"
    elif factor.low > 0:
        times = f"more than {rounded(factor.low)} x {names}"
    elif factor.high < float("inf"):
        times = f"less than {rounded(factor.high)} x {names}"
    else:
        return f"The data do not bound the ratio of b_crit of {over.label} to {names}: {sizes}."
    return f"b_crit of {over.label} is {times}: {sizes}."


def _verdict(comparison: Comparison) -> str:
    equality = comparison.equality
    if equality is None:
        return ""
    p = f"p = {equality.p_value:.2g}" if equality.p_value >= 1e-4 else "p < 0.0001"
    how = f"likelihood ratio of one b_crit for all against one each, {p}"
    if equality.significant:
        return f"The difference of b_crit is significant ({how})."
    return f"No significant difference of b_crit ({how})."
