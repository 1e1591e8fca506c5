"""What a comparison of studies found, in sentences."""

from collections.abc import Mapping, Sequence

from analysis.comparison.compare import Compared, Comparison, Ratio
from analysis.comparison.example_ratios import example_ratio_sentences
from analysis.comparison.rule_costs import rule_cost_sentences, times
from analysis.fitting.critical import FORM, TUNING
from analysis.fitting.estimates import LEVEL, list_text, rounded, size_text, span_text
from analysis.fitting.ratios import EqualityTest
from analysis.measures.federated import round_sentences
from analysis.measures.recipes import follows_rule
from analysis.measures.replicates import all_have_replicates
from analysis.measures.targets import begun_sentences
from analysis.measures.unfinished import unfinished_sentences
from analysis.report.fits import fits_record, unidentified_sentences


def comparison_sentences(comparison: Comparison) -> tuple[str, ...]:
    """Return what a comparison found, one sentence each.

    These are what is compared and how fair that is, which study needs the fewest steps at the
    smallest and the largest common batch size, and how b_crit differs, with its significance.
    """
    return (
        *(
            f"{study.label}: {sentence}"
            for study in comparison.studies
            for sentence in (
                *unfinished_sentences(study.analysis.unfinished),
                *begun_sentences(study.analysis.begun_below),
            )
        ),
        *_targets(comparison),
        *_measures(comparison),
        *_misses(comparison.studies),
        *_steps(comparison),
        *example_ratio_sentences(comparison),
        *rule_cost_sentences(comparison),
        *_b_crit(comparison),
        _normalization(comparison),
    )


def _normalization(comparison: Comparison) -> str:
    to = comparison.normalisation
    if to.batch_size is None:
        return (
            "Steps are not normalized: no batch size reached the target in all studies, and some "
            "study has no fit."
        )
    if to.measured:
        return (
            f"Normalized steps are relative to each study's own at B = {to.batch_size}, the "
            "smallest batch size that reached the target in all studies."
        )
    return (
        "No batch size reached the target in all studies: normalized steps are relative to each "
        f"study's hyperbola at B = {to.batch_size}."
    )


def _targets(comparison: Comparison) -> tuple[str, ...]:
    studies = comparison.studies
    sentences = [
        f"{study.label}: {sentence}"
        for study in studies
        for sentence in round_sentences(study.analysis.study.config)
    ]
    if len({study.analysis.target for study in studies}) > 1:
        targets = list_text(f"{study.analysis.target:g} ({study.label})" for study in studies)
        sentences.append(
            f"The studies have different targets, {targets}: steps are to each study's own."
        )
    tables = [study.analysis.study for study in studies]
    if len({str(study.config["workload"]) for study in tables}) > 1:
        sentences.append(
            "The studies train different workloads: compare how their steps fall with batch size, "
            "not the steps themselves."
        )
    else:
        sentences += [
            f"The studies have different {split} data, which also changes their steps."
            for name, split in (("train", "training"), ("validation", "validation"))
            if len({str(study.data[name]) for study in tables if name in study.data}) > 1
        ]
    return tuple(sentences)


def _measures(comparison: Comparison) -> tuple[str, ...]:
    studies = comparison.studies
    if comparison.medians:
        return ("Steps are medians over fresh seeds in all studies.",)
    some = [study.label for study in studies if study.analysis.table["seeds"].notna().any()]
    measure = "Steps are the fewest over trials"
    if some:
        measure += (
            f" in all studies: {list_text(some)} {'has' if len(some) == 1 else 'have'} medians "
            "over fresh seeds, but some studies or batch sizes lack them, and the two do not mix"
        )
    trials = [study.analysis.table["trials"] for study in studies]
    counts = [span_text(number.min(), number.max()) for number in trials]
    if len(set(counts)) == 1:
        return (f"{measure}; {counts[0]} trials at each batch size.",)
    shown = list_text(
        f"{count} ({study.label})" for count, study in zip(counts, studies, strict=True)
    )
    recipe = any(follows_rule(study.analysis.study) for study in studies)
    remedy = "" if recipe else "; --equal-trials uses the same number of each"
    return (
        f"{measure}.",
        f"Trials at each batch size: {shown}. More trials find fewer steps{remedy}.",
    )


def _misses(studies: Sequence[Compared]) -> tuple[str, ...]:
    """Return which batch sizes missed the target, and which of them are in no fit."""
    sentences = []
    quantity = studies[0].analysis.quantity
    for study in studies:
        table = study.analysis.table
        missed = {int(size) for size in study.points.batch_sizes[study.points.missed]}
        out = study.points.batch_sizes[study.points.out_of_reach()]
        none = sorted(missed & {*table.loc[table["steps"].isna(), "batch_size"]})
        half = sorted(missed.difference(none))
        label = study.label
        if none:
            errors = table.set_index("batch_size")["best_error"].dropna()
            told = (f"{b} (least {quantity} {errors[b]:.4g})" if b in errors else b for b in none)
            sentences.append(f"{label} missed the target at B = {list_text(map(str, told))}.")
        if half:
            sentences.append(
                f"Half or more of the fresh seeds of {label} missed the target at "
                f"B = {list_text(map(str, half))}."
            )
        if out.size:
            sizes = list_text(map(size_text, out))
            sentences.append(
                f"No curve explains that of {label} at B = {sizes}, so the fit leaves "
                f"{'them' if out.size > 1 else 'it'} out."
            )
    target = _target_for_all(studies)
    if target is not None:
        sentences.append(
            f"Every batch size of every study reaches {quantity} < {target:g}: "
            f"--target {target:g} compares all of them."
        )
    return tuple(sentences)


def _target_for_all(studies: Sequence[Compared]) -> float | None:
    """Return a target that all batch sizes of all studies reach; None if none missed its own."""
    own = [s.analysis.target for s in studies]
    found = [s.analysis.target_for_all for s in studies if s.analysis.table["steps"].isna().any()]
    known = [target for target in found if target is not None]
    return max(*known, *own) if known and len(known) == len(found) else None


def _steps(comparison: Comparison) -> tuple[str, ...]:
    common = comparison.common
    if not common:
        return (
            "No batch size reached the target in all studies: there are no steps to compare "
            "directly.",
        )
    ends = {common[0]: "smallest", common[-1]: "largest"}
    return tuple(_steps_at(comparison.studies, size, end) for size, end in ends.items())


def _steps_at(studies: Sequence[Compared], batch_size: int, end: str) -> str:
    ranked = sorted(studies, key=lambda study: study.reached[batch_size])
    least = ranked[0].reached[batch_size]
    others = ", ".join(
        f"{study.label} needs {rounded(study.reached[batch_size])} "
        f"({times(study.reached[batch_size] / least)} as many)"
        for study in ranked[1:]
    )
    return (
        f"At B = {batch_size}, the {end} batch size that reached the target in all studies, "
        f"{ranked[0].label} needs the fewest steps, {rounded(least)}; {others}."
    )


def _b_crit(comparison: Comparison) -> tuple[str, ...]:
    by_name = {study.name: study for study in comparison.studies}
    without = [study.label for study in comparison.studies if study.fit is None]
    sentences = [f"No fit, hence no b_crit, for {list_text(without)}."] if without else []
    sentences += [
        f"{study.label}: {sentence}"
        for study in comparison.studies
        if study.fits is not None
        for sentence in unidentified_sentences(
            "hyperbola", fits_record(study.fits)["fits"]["hyperbola"]
        )
    ]
    sentences += _other_numbers(comparison)
    fitted = [(s.label, s.b_crit) for s in comparison.studies if s.b_crit is not None]
    open_ones = [label for label, b_crit in fitted if not b_crit.identified]
    if comparison.equality is None:
        return (*sentences, "b_crit is not compared: it is identified in fewer than two studies.")
    if open_ones:
        sentences.append(
            f"{list_text(open_ones)} {'is' if len(open_ones) == 1 else 'are'} left out of the "
            "comparison of b_crit, which the data there do not identify."
        )
    first = comparison.ratios[0].under
    sentences += [_ratio(ratio, by_name) for ratio in comparison.ratios if ratio.under == first]
    sentences.append(_significance(comparison.equality))
    bent = [s.label for s in comparison.studies if s.fits is not None and s.fits.best is not s.fit]
    if bent:
        sentences.append(
            f"For {list_text(bent)}, a curve other than the hyperbola has the lowest AICc; the "
            "table has its critical batch size too."
        )
    return (*sentences, *_caveats(comparison))


def _caveats(comparison: Comparison) -> tuple[str, ...]:
    """Return what the intervals and the test of b_crit do not hold."""
    fitted = [s for s in comparison.studies if s.fits is not None]
    blind = [s.label for s in fitted if TUNING not in s.critical["b_crit"].parts]
    margin = [s.label for s in fitted if s.fits is not None and s.fits.common]
    plain = [s.label for s in fitted if FORM not in s.critical["b_crit"].parts]
    told = (
        (blind, "Intervals and test hold no under-tuning of {}: a search cut short moves b_crit by "
         "more."),
        (margin, "Ratio and test hold no under-tuning of {}; the intervals of b_crit do."),
        (plain, "They take the curve of {} for a hyperbola, as too few batch sizes reached the "
         "target to fit another."),
    )  # fmt: skip
    return tuple(text.format(list_text(labels)) for labels, text in told if labels)


def _other_numbers(comparison: Comparison) -> tuple[str, ...]:
    """Return which studies have another b_crit in their own summary, and why."""
    if comparison.medians:
        return ()
    own = [s.label for s in comparison.studies if all_have_replicates(s.analysis.table)]
    if not own:
        return ()
    return (
        "b_crit here is that of the fewest steps over trials; the summary of "
        f"{list_text(own)} has that of the medians over fresh seeds.",
    )


def _ratio(ratio: Ratio, by_name: Mapping[str, Compared]) -> str:
    """Return a ratio from the side of the larger b_crit."""
    factor, over, under = ratio.estimate, by_name[ratio.over], by_name[ratio.under]
    if factor.value < 1:
        factor, over, under = factor.inverse(), under, over
    sizes = " against ".join(
        study.b_crit.text() for study in (over, under) if study.b_crit is not None
    )
    other = f"that of {under.label}"
    if not factor.identified:
        return f"The data do not bound the ratio of b_crit of {over.label} to {other}: {sizes}."
    return (
        f"b_crit of {over.label} is {rounded(factor.value)} times {other} ({LEVEL:.0%} interval "
        f"{factor.ends}): {sizes}."
    )


def _significance(test: EqualityTest) -> str:
    p = f"p = {test.p_value:.2g}" if test.p_value >= 1e-4 else "p < 0.0001"
    what = f"likelihood-ratio test of one b_crit for {test.freedom + 1} studies against one each"
    if test.significant:
        return f"The difference in b_crit is significant ({what}, {p})."
    return f"No significant difference in b_crit ({what}, {p})."
