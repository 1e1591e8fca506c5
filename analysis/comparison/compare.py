"""Several studies side by side: steps, fits, critical batch sizes, and whether these differ."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from analysis.comparison.b_crit_ratios import EqualityTest, b_crit_ratio, equal_b_crit
from analysis.comparison.labels import MIN_STUDIES, labels
from analysis.errors import AnalysisError
from analysis.fitting.critical import CriticalBatchSize, critical_batch_sizes
from analysis.fitting.estimates import Estimate
from analysis.fitting.fit import Fits, ScalingFit
from analysis.fitting.models import MODELS
from analysis.fitting.points import Points
from analysis.fitting.shapes import average_of
from analysis.fitting.tuned import fit_best
from analysis.measures.batch_plan import is_planned
from analysis.measures.first_trials import equal_trials as most_equal_trials
from analysis.measures.replicates import all_have_replicates, fitted_points
from analysis.report.summary import Analysis, analyze
from analysis.tables.study import StudyTables

_TYPES = {
    "study": "str",
    "batch_size": "int64",
    "steps": "Int64",
    "steps_median": "Float64",
    "low": "Float64",
    "high": "Float64",
    "missed": "bool",
    "examples": "Int64",
    "compared": "Float64",
    "bound": "Float64",
    "normalised": "Float64",
}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Compared:
    """One of the studies compared."""

    name: str  # unique, from its folder
    label: str  # how its config differs from the others'
    analysis: Analysis
    points: Points  # the steps that are compared
    fits: Fits | None  # of `points`; None where too few batch sizes reached the target
    critical: Mapping[str, CriticalBatchSize]  # by name; empty without fits

    @property
    def fit(self) -> ScalingFit | None:
        """The hyperbola, the curve by which studies are compared."""
        return None if self.fits is None else self.fits["hyperbola"]

    @property
    def b_crit(self) -> Estimate | None:
        """The critical batch size; None without fits."""
        return self.critical["b_crit"].estimate if self.critical else None

    @property
    def reached(self) -> Mapping[int, float]:
        """The steps that are compared, by batch size, where the study reached the target."""
        seen = ~self.points.missed
        sizes, steps = self.points.batch_sizes[seen], self.points.steps[seen]
        return dict(zip(sizes.astype(int).tolist(), steps.tolist(), strict=True))


@dataclass(frozen=True, kw_only=True, slots=True)
class Normalisation:
    """The divisors of the steps: each study's own at one batch size."""

    batch_size: int | None  # None where there is no batch size to normalise at
    measured: bool  # whether the divisors were measured there or read off the hyperbola
    by: Mapping[str, float]  # divisors by name of the study; empty without a batch size


@dataclass(frozen=True, kw_only=True, slots=True)
class Ratio:
    """The b_crit of one study over that of another, both by name."""

    over: str
    under: str
    estimate: Estimate


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Comparison:
    """Studies side by side."""

    studies: tuple[Compared, ...]  # two or more, in the order given
    medians: bool  # whether medians of replicates are compared, else the fewest steps over trials
    # one row per study and batch size: study (its name), batch_size, steps (fewest over trials),
    # steps_median, low, high (of replicates), missed, examples, compared (median or fewest steps;
    # null where missed), bound (steps that were not enough, where missed), normalised (compared,
    # divided as in `normalisation`); null where unknown
    table: pd.DataFrame
    normalisation: Normalisation
    # whether all studies that identify their b_crit share one; None if fewer than two do
    equality: EqualityTest | None
    ratios: tuple[Ratio, ...]  # for each pair of these, the later b_crit over the earlier

    @property
    def quantity(self) -> str:
        """What the targets are values of: error or loss."""
        return self.studies[0].analysis.quantity

    @property
    def common(self) -> tuple[int, ...]:
        """The batch sizes at which every study reached its target, ascending."""
        return _common(self.studies)

    def side_by_side(self, rows: pd.DataFrame, texts: Iterable[str]) -> pd.DataFrame:
        """Return texts, one for each row with a study and a batch_size, as a table with both.

        It has one row per batch size and one column per study, with "-" where there is no text.
        """
        cells = rows[["study", "batch_size"]].assign(text=list(texts))
        table = cells.pivot(index="batch_size", columns="study", values="text").fillna("-")
        labels = {study.name: study.label for study in self.studies if study.name in table}
        table = table[list(labels)].rename(columns=labels).rename_axis(columns=None)
        return table.reset_index(names="B").astype(str)


def compare(
    studies: Mapping[str, StudyTables], target: float | None = None, equal_trials: bool = False
) -> Comparison:
    """Return a comparison of two or more studies by unique names.

    Medians of replicates are compared if every study has them at every batch size that reached the
    target, else the fewest steps in all: the fewest are biased low, so the two do not mix. A target
    of None is each study's own; with `equal_trials`, every search uses only as many trials as all
    of them have.
    """
    _refuse_mixed_quantities(studies)
    first = min(map(most_equal_trials, studies.values())) if equal_trials else None
    analyses = {name: analyze(study, target, first) for name, study in studies.items()}
    medians = all(all_have_replicates(analysis.table) for analysis in analyses.values())
    names = labels([study.config for study in studies.values()], list(studies))
    compared = tuple(
        _compared(name, label, analysis, medians)
        for (name, analysis), label in zip(analyses.items(), names, strict=True)
    )
    normalisation = _normalisation(compared)
    deviates = {
        study.name: average_of(study.fits).b_crit
        for study in compared
        if study.fits is not None and study.b_crit is not None and study.b_crit.identified
    }
    return Comparison(
        studies=compared,
        medians=medians,
        table=pd.concat([_rows(study, normalisation) for study in compared], ignore_index=True),
        normalisation=normalisation,
        equality=equal_b_crit(list(deviates.values())) if len(deviates) >= MIN_STUDIES else None,
        ratios=tuple(
            Ratio(over=over, under=under, estimate=b_crit_ratio(deviates[over], deviates[under]))
            for under, over in combinations(deviates, 2)
        ),
    )


def _refuse_mixed_quantities(studies: Mapping[str, StudyTables]) -> None:
    quantities = {name: s.config["race"].get("quantity", "error") for name, s in studies.items()}
    if len(set(quantities.values())) > 1:
        listed = ", ".join(f"{quantity} ({name})" for name, quantity in quantities.items())
        raise AnalysisError(
            f"studies to compare must have targets of one quantity, got {listed}; compare the "
            "studies of each quantity separately"
        )


def _compared(name: str, label: str, analysis: Analysis, medians: bool) -> Compared:
    table = analysis.table if medians else analysis.table.drop(columns="seeds")
    points = fitted_points(table)
    fits, critical = analysis.fits, analysis.critical
    planned = is_planned(analysis.study.config)
    if not medians and not planned and all_have_replicates(analysis.table):
        # its analysis fitted medians, which the others do not have
        kept = points.without(points.out_of_reach())
        fits = None
        if kept.distinct >= MODELS["hyperbola"].least_points:
            gaps = {} if analysis.tuning is None else analysis.tuning.gaps
            fits = fit_best(kept, gaps)
        critical = {} if fits is None else critical_batch_sizes(fits)
    return Compared(
        name=name, label=label, analysis=analysis, points=points, fits=fits, critical=critical
    )


def _common(studies: Sequence[Compared]) -> tuple[int, ...]:
    return tuple(sorted(set.intersection(*(set(study.reached) for study in studies))))


def _normalisation(studies: Sequence[Compared]) -> Normalisation:
    """Choose the smallest batch size that all reached, else one within the range of all fits."""
    common = _common(studies)
    if common:
        by = {study.name: study.reached[common[0]] for study in studies}
        return Normalisation(batch_size=common[0], measured=True, by=by)
    fits = {study.name: study.fit for study in studies if study.fit is not None}
    if len(fits) < len(studies):
        return Normalisation(batch_size=None, measured=False, by={})
    batch_size = max(min(study.reached) for study in studies)
    by = {name: float(fit.predict(batch_size)) for name, fit in fits.items()}
    return Normalisation(batch_size=batch_size, measured=False, by=by)


def _rows(study: Compared, normalisation: Normalisation) -> pd.DataFrame:
    points = study.points
    seen = np.where(points.missed, np.nan, points.steps)
    compared = pd.DataFrame(
        {
            "batch_size": points.batch_sizes.astype(int),
            "compared": pd.array(seen, dtype="Float64"),
            "bound": pd.array(np.where(points.missed, points.steps, np.nan), dtype="Float64"),
        }
    )
    columns = ["batch_size", "steps", "steps_median", "low", "high", "examples"]
    table = study.analysis.table[columns].merge(compared, on="batch_size", how="left")
    divisor = normalisation.by.get(study.name)
    normalised = None if divisor is None else table["compared"] / divisor
    table = table.assign(study=study.name, missed=table["compared"].isna(), normalised=normalised)
    return table[list(_TYPES)].astype(_TYPES)
