"""The complete analysis of a study as one value, and what it found in sentences."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pandas as pd

from analysis.errors import AnalysisError
from analysis.fitting.critical import CriticalBatchSize, critical_batch_sizes
from analysis.fitting.fit import Fits, ScalingFit, fit_all
from analysis.fitting.models import MODELS
from analysis.fitting.regimes import Regimes, find_regimes
from analysis.measures.federated import is_federated, round_sentences
from analysis.measures.goals import Goal, find_goals
from analysis.measures.recipes import follows_rule, recipe_sentences
from analysis.measures.replicates import (
    fitted_points,
    replicate_sentences,
    seed_sentences,
    with_replicates,
)
from analysis.measures.scaling_rules import scaling_rule_sentences, scaling_rules
from analysis.measures.targets import first_trials, steps_to_target
from analysis.report.failures import failure_sentences
from analysis.report.fits import fit_sentences
from analysis.search_quality.sentences import quality_sentences
from analysis.search_quality.table import quality_table
from analysis.tables.schema import TRIAL_KEY
from analysis.tables.study import StudyTables

_NO_CURVE = "no curve from perfect scaling to a plateau allows that, so the fits leave it out"
_RULE_FAILS = "the scaling rule fails there"
_LEFT_OUT = "check its search, and whether a batch of that size can reach the target at all"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Analysis:
    """What a study shows at one target.

    Attributes:
        study: the tables.
        target: validation error to get below.
        table: one row per batch size: `steps_to_target` and the columns of `with_replicates`.
        search: how good each search was (`quality_table`).
        rules: how far the scaling rules are off (`scaling_rules`).
        goals: results at a few targets, the same ones whatever `target` is.
        first: how many trials of each search count; None for all.
        fits: every model fitted; None where too few batch sizes reached the target.
        regimes: the regimes; None without fits.
        critical: the critical batch sizes by name; empty without fits.
        left_out: batch sizes that missed the target and that no curve can explain; in no fit.
        no_fit: why there is no fit; empty where there is one.
    """

    study: StudyTables
    target: float
    table: pd.DataFrame
    search: pd.DataFrame
    rules: pd.DataFrame
    goals: tuple[Goal, ...] = ()
    first: int | None = None
    fits: Fits | None = None
    regimes: Regimes | None = None
    critical: Mapping[str, CriticalBatchSize] = field(default_factory=dict)
    left_out: tuple[int, ...] = ()
    no_fit: str = ""

    @property
    def fit(self) -> ScalingFit | None:
        """The hyperbola, fitted wherever any model is."""
        return None if self.fits is None else self.fits["hyperbola"]

    @property
    def reached(self) -> pd.DataFrame:
        """The rows of the batch sizes that reached the target."""
        return self.table[self.table["steps"].notna()]

    @property
    def quantity(self) -> str:
        """What the target is a value of: error or loss."""
        return str(self.study.config["race"].get("quantity", "error"))

    @property
    def title(self) -> str:
        """Workload, optimizer and target on one line."""
        return f"{self.subject}, validation {self.quantity} < {self.target:g}"

    @property
    def subject(self) -> str:
        """Workload and optimizer on one line, with the scaling rule of a recipe."""
        config = self.study.config
        workload = str(config["workload"]).rpartition(":")[2]  # a plug-in's class, without its path
        rule = f", {config['recipe']['rule']} rule" if config.get("mode") == "recipe" else ""
        optimizer = str(config["optimizer"])
        if is_federated(config):
            optimizer = f"FedAvg of {optimizer}"
        return f"{workload}, {optimizer}{rule}"


def analyze(study: StudyTables, target: float | None = None, first: int | None = None) -> Analysis:
    """Analyze a study at one target.

    A batch size that missed the target enters the fits as a lower bound: the steps of its longest
    trial. Where fewer than three batch sizes reached it, `no_fit` says so.

    Args:
        study: the tables.
        target: validation error to get below, not below the raced target, which is the default.
        first: how many trials of each search count (see `first_trials`); None for all.

    Returns:
        Table, fits, regimes and critical batch sizes.

    Raises:
        AnalysisError: there is no search trial, fewer than `first`, none that took a step, or the
            target is tighter than the raced one.
    """
    study = study if first is None else first_trials(study, first)
    table = with_replicates(steps_to_target(study, target), study, target)
    if not table["stopped_at"].gt(0).any():
        raise AnalysisError(
            f"a study must have a trial that trained, got {study.name} where none took a step; see "
            "`message` in trials.parquet, fix the workload, delete the parts and run `sweep` again"
        )
    found = Analysis(
        study=study,
        target=study.target if target is None else target,
        table=table,
        search=quality_table(study, target),
        rules=scaling_rules(study, table, target),
        goals=find_goals(study),
        first=first,
    )
    points = fitted_points(table)
    least = MODELS["hyperbola"].least_points
    if points.observed < least:
        return replace(
            found,
            no_fit=f"No fit: {points.observed} of {len(table)} batch sizes reached the target; a "
            f"fit needs {least}. Add batch sizes or trials, raise race.max_steps, or loosen the "
            "target.",
        )
    left_out = points.out_of_reach()
    fits = fit_all(points.without(left_out))
    observed = points.without(points.missed)
    return replace(
        found,
        fits=fits,
        regimes=find_regimes(observed.batch_sizes, observed.steps),
        critical=critical_batch_sizes(fits),
        left_out=tuple(points.batch_sizes[left_out].astype(int).tolist()),
    )


def sentences(analysis: Analysis) -> tuple[str, ...]:
    """Return what was found, one sentence each, in the order of summary.md."""
    study = analysis.study
    recorded = study.trials.drop_duplicates(list(TRIAL_KEY))
    return (
        *round_sentences(study.config),
        *_fit_sentences(analysis),
        *_miss_sentences(analysis),
        # where its rule has not run, a recipe is a study of its base
        *(() if follows_rule(study) else recipe_sentences(study)),
        *failure_sentences(recorded[["batch_size", "status", "message"]].itertuples(index=False)),
        *_replicate_sentences(analysis),
        *quality_sentences(analysis.search),
        *scaling_rule_sentences(analysis.rules),
        _caveat(analysis),
    )


def _fit_sentences(analysis: Analysis) -> tuple[str, ...]:
    if analysis.fits is None or analysis.regimes is None:
        return (analysis.no_fit,)
    return *fit_sentences(analysis.fits, analysis.critical), *analysis.regimes.sentences()


def _miss_sentences(analysis: Analysis) -> tuple[str, ...]:
    why = _RULE_FAILS if follows_rule(analysis.study) else _LEFT_OUT
    missed = analysis.table[analysis.table["steps"].isna() & (analysis.table["stopped_at"] > 0)]
    return tuple(
        f"B = {size}: no trial reached the target within {longest} steps"
        + (f"; {_NO_CURVE}: {why}." if size in analysis.left_out else ".")
        for size, longest in zip(missed["batch_size"], missed["stopped_at"], strict=True)
    )


def _replicate_sentences(analysis: Analysis) -> tuple[str, ...]:
    if follows_rule(analysis.study):
        return (*recipe_sentences(analysis.study), *seed_sentences(analysis.table))
    own = analysis.study.config["race"].get("target")
    if analysis.study.imported or own == analysis.target:
        return replicate_sentences(analysis.table)
    return (
        f"The replicates re-run the best points at the raced target, {own:g}; at this target the "
        "fits use the fewest steps over trials.",
    )


def _caveat(analysis: Analysis) -> str:
    trials = analysis.table["trials"]
    counts = str(trials.min()) if trials.nunique() == 1 else f"{trials.min()} to {trials.max()}"
    first = "" if analysis.first is None else "the first "
    return (
        f"Steps to target are the fewest over {first}{counts} trials at each batch size and depend "
        "on that number; the measurement at step `after` was still above the target."
    )
