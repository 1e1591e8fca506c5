"""The findings of a comparison in sentences."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from analysis.comparison.b_crit_ratios import EqualityTest
from analysis.comparison.compare import Compared, Comparison, Ratio
from analysis.comparison.ratios import example_ratio_sentences, rule_cost_sentences, times
from analysis.fitting.critical import FORM, TUNING
from analysis.fitting.estimates import LEVEL, counted, list_text, rounded, size_text, span_text
from analysis.measures.federated import round_sentences
from analysis.measures.recipes import follows_rule
from analysis.measures.replicates import all_have_replicates
from analysis.measures.targets import begun_sentences
from analysis.measures.unfinished import unfinished_sentences
from analysis.report.fits import fits_record, unidentified_sentences


def comparison_sentences(comparison: Comparison) -> tuple[str, ...]:
    """Return the findings: what is compared and how fairly, the fewest steps, and b_crit."""
    return (
        *_warnings(comparison),
        *_targets(comparison),
        *_measures(comparison),
        *_misses(comparison.studies),
        *_steps(comparison),
        *example_ratio_sentences(comparison),
        *rule_cost_sentences(comparison),
        *_b_crit(comparison),
        _normalization(comparison),
    )


def _warnings(comparison: Comparison) -> Iterator[str]:
    for study in comparison.studies:
        yield from _labeled(study, unfinished_sentences(study.analysis.unfinished))
        yield from _labeled(study, begun_sentences(study.analysis.begun_below))


def _labeled(study: Compared, sentences: Iterable[str]) -> Iterator[str]:
    return (f"{study.label}: {sentence}" for sentence in sentences)


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


def _targets(comparison: Comparison) -> Iterator[str]:
    studies = comparison.studies
    for study in studies:
        yield from _labeled(study, round_sentences(study.analysis.study.config))
    if len({study.analysis.target for study in studies}) > 1:
        targets = list_text(f"{study.analysis.target:g} ({study.label})" for study in studies)
        yield f"The studies have different targets, {targets}: steps are to each study's own."
    tables = [study.analysis.study for study in studies]
    if len({str(study.config["workload"]) for study in tables}) > 1:
        yield (
            "The studies train different workloads: compare how their steps fall with batch size, "
            "not the steps themselves."
        )
        return
    for name, split in (("train", "training"), ("validation", "validation")):
        if len({str(study.data[name]) for study in tables if name in study.data}) > 1:
            yield f"The studies have different {split} data, which also changes their steps."


def _measures(comparison: Comparison) -> Iterator[str]:
    studies = comparison.studies
    if comparison.medians:
        yield "Steps are medians over fresh seeds in all studies."
        return
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
        yield f"{measure}; {counted(counts[0], 'trials')} at each batch size."
        return
    pairs = zip(counts, studies, strict=True)
    shown = list_text(f"{count} ({study.label})" for count, study in pairs)
    recipe = any(follows_rule(study.analysis.study) for study in studies)
    remedy = "" if recipe else "; --equal-trials uses the same number of each"
    yield f"{measure}."
    yield f"Trials at each batch size: {shown}. More trials find fewer steps{remedy}."


def _misses(studies: Sequence[Compared]) -> Iterator[str]:
    """Yield the batch sizes that missed the target, and those of them that no fit includes."""
    quantity = studies[0].analysis.quantity
    for study in studies:
        table, label = study.analysis.table, study.label
        missed = {int(size) for size in study.points.batch_sizes[study.points.missed]}
        out = study.points.batch_sizes[study.points.out_of_reach()]
        none = sorted(missed & {*table.loc[table["steps"].isna(), "batch_size"]})
        if none:
            errors = table.set_index("batch_size")["best_error"].dropna()
            texts = (f"{b} (lowest {quantity} {errors[b]:.4g})" if b in errors else b for b in none)
            yield f"{label} missed the target at B = {list_text(map(str, texts))}."
        if half := sorted(missed.difference(none)):
            sizes = list_text(map(str, half))
            yield f"Half or more of the fresh seeds of {label} missed the target at B = {sizes}."
        if out.size:
            yield (
                f"No curve explains the miss of {label} at B = {list_text(map(size_text, out))}, "
                f"so the fit leaves {'them' if out.size > 1 else 'it'} out."
            )
    target = _target_for_all(studies)
    if target is not None:
        yield (
            f"Every batch size of every study reaches {quantity} < {target:g}: "
            f"--target {target:g} compares all of them."
        )


def _target_for_all(studies: Sequence[Compared]) -> float | None:
    """Return a target that all batch sizes of all studies reach; None if none missed its own."""
    own = [s.analysis.target for s in studies]
    looser = [s.analysis.target_for_all for s in studies if s.analysis.table["steps"].isna().any()]
    known = [target for target in looser if target is not None]
    return max(*known, *own) if known and len(known) == len(looser) else None


def _steps(comparison: Comparison) -> Iterator[str]:
    common = comparison.common
    if not common:
        yield (
            "No batch size reached the target in all studies: there are no steps to compare "
            "directly."
        )
        return
    for size, end in {common[0]: "smallest", common[-1]: "largest"}.items():
        first, *others = sorted(comparison.studies, key=lambda study: study.reached[size])
        least = first.reached[size]
        more = ", ".join(
            f"{study.label} needs {rounded(study.reached[size])} "
            f"({times(study.reached[size] / least)} as many)"
            for study in others
            if study.reached[size] > least
        )
        ties = [study.label for study in (first, *others) if study.reached[size] == least]
        fewest = f"{list_text(ties)} {'needs' if len(ties) == 1 else 'need'} the fewest steps"
        yield (
            f"At B = {size}, the {end} batch size that reached the target in all studies, "
            f"{fewest}, {rounded(least)}{'; ' if more else ''}{more}."
        )


def _b_crit(comparison: Comparison) -> Iterator[str]:
    studies = comparison.studies
    if without := [study.label for study in studies if study.fit is None]:
        yield f"No fit, hence no b_crit, for {list_text(without)}."
    fitted = [study for study in studies if study.fits is not None]
    for study in fitted:
        hyperbola = fits_record(study.fits)["fits"]["hyperbola"]
        yield from _labeled(study, unidentified_sentences("hyperbola", hyperbola))
    own = [study.label for study in studies if all_have_replicates(study.analysis.table)]
    if own and not comparison.medians:
        yield (
            "b_crit here is from the fewest steps over trials; the summary of "
            f"{list_text(own)} has b_crit from the medians over fresh seeds."
        )
    unknown = [s.label for s in fitted if s.b_crit and not s.b_crit.identified]
    if comparison.equality is None:
        yield "b_crit is not compared: it is identified in fewer than two studies."
        if unknown:
            yield f"It is not identified in {list_text(unknown)}."
        return
    if unknown:
        yield (
            f"{list_text(unknown)} {'is' if len(unknown) == 1 else 'are'} left out of the "
            "comparison of b_crit, which the data there do not identify."
        )
    by_name = {study.name: study for study in studies}
    for ratio in comparison.ratios:
        if ratio.under == comparison.ratios[0].under:
            yield _ratio(ratio, by_name)
    yield _significance(comparison.equality)
    if bent := [s.label for s in fitted if s.fits is not None and s.fits.best is not s.fit]:
        yield (
            f"For {list_text(bent)}, a curve other than the hyperbola has the lowest AICc; the "
            "table has its critical batch size too."
        )
    yield from _caveats(fitted)


def _caveats(fitted: Sequence[Compared]) -> Iterator[str]:
    """Yield what the intervals and the test of b_crit do not cover."""
    blind = [s.label for s in fitted if TUNING not in s.critical["b_crit"].parts]
    margin = [s.label for s in fitted if s.fits is not None and s.fits.common]
    plain = [s.label for s in fitted if FORM not in s.critical["b_crit"].parts]
    if blind:
        yield (
            f"Intervals and test do not cover under-tuning of {list_text(blind)}: an incomplete "
            "search may move b_crit by more."
        )
    if margin:
        yield (
            f"Ratio and test do not cover under-tuning of {list_text(margin)}; the intervals of "
            "b_crit do."
        )
    if plain:
        yield (
            f"They assume that the curve of {list_text(plain)} is a hyperbola, as too few batch "
            "sizes reached the target to fit another."
        )


def _ratio(ratio: Ratio, by_name: Mapping[str, Compared]) -> str:
    """Return a sentence on a ratio, with the larger b_crit first."""
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
