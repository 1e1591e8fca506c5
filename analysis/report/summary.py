"""The complete analysis of a study as one value."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from analysis.errors import AnalysisError
from analysis.fitting.critical import CriticalBatchSize, critical_batch_sizes
from analysis.fitting.fit import Fits, ScalingFit
from analysis.fitting.regimes import Regimes, regimes_of
from analysis.measures.batch_plan import is_planned
from analysis.measures.federated import is_federated
from analysis.measures.first_trials import first_trials
from analysis.measures.replicates import fitted_points, with_replicates
from analysis.measures.scaling_rules import scaling_rules
from analysis.measures.targets import begun_below, steps_to_target
from analysis.measures.unfinished import unfinished_records
from analysis.report.goals import Goal, find_goals, fits_at, target_for_all
from analysis.search_quality.table import quality_table
from analysis.search_quality.tuning import Tuning, tuning_of
from analysis.tables.study import StudyTables


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Analysis:
    """The results of a study at one target."""

    study: StudyTables
    target: float  # validation error to get below
    # one row per batch size: `steps_to_target` and the columns of `with_replicates`
    table: pd.DataFrame
    search: pd.DataFrame  # how good each search was (`quality_table`)
    rules: pd.DataFrame  # how far the scaling rules are off (`scaling_rules`)
    goals: tuple[Goal, ...] = ()  # results at a few targets, which do not depend on `target`
    first: int | None = None  # how many trials of each search count; None for all
    unfinished: tuple[Mapping[str, Any], ...] = ()  # the missing trials (`unfinished_records`)
    # a target that every batch size reached, if some missed this one
    target_for_all: float | None = None
    # all models; corrected for under-tuning where the searches show how large it is; None if too
    # few batch sizes reached the target
    fits: Fits | None = None
    regimes: Regimes | None = None  # the regimes; None without fits
    # the critical batch sizes by name; empty without fits
    critical: Mapping[str, CriticalBatchSize] = field(default_factory=dict)
    tuning: Tuning | None = None  # the under-tuning that the trials show; None without fits
    # batch sizes that missed the target and that no curve can explain; not fitted
    left_out: tuple[int, ...] = ()
    unexplained: tuple[int, ...] = ()  # batch sizes that reached it and that no curve can explain
    begun_below: int = 0  # how many trials were below the target before they took a step

    @property
    def fit(self) -> ScalingFit | None:
        """The hyperbola, fitted wherever any model is."""
        return None if self.fits is None else self.fits["hyperbola"]

    @property
    def b_crit(self) -> CriticalBatchSize | None:
        """The critical batch size, the headline; None without fits."""
        return self.critical.get("b_crit")

    @property
    def reached(self) -> pd.DataFrame:
        """The rows of the batch sizes that reached the target."""
        return self.table[self.table["steps"].notna()]

    @property
    def quantity(self) -> str:
        """The quantity that the target bounds: error or loss."""
        return str(self.study.config["race"].get("quantity", "error"))

    @property
    def title(self) -> str:
        """Workload, optimizer and target on one line."""
        return f"{self.subject}, validation {self.quantity} < {self.target:g}"

    @property
    def subject(self) -> str:
        """Workload and optimizer on one line, with averaging, scaling rule and batch schedule."""
        config = self.study.config
        # a plug-in's class, without its path
        workload, optimizer = (
            str(config[key]).rpartition(":")[2] for key in ("workload", "optimizer")
        )
        rule = f", {config['recipe']['rule']} rule" if config.get("mode") == "recipe" else ""
        if is_federated(config):
            optimizer = f"FedAvg of {optimizer}"
        averaged = ", averaged weights" if config["race"].get("weights") == "averaged" else ""
        batches = ", batch schedule" if is_planned(config) else ""
        return f"{workload}, {optimizer}{averaged}{rule}{batches}"


def analyze(study: StudyTables, target: float | None = None, first: int | None = None) -> Analysis:
    """Analyze a study at one target.

    A batch size that missed the target enters the fits as a lower bound: the steps of its longest
    trial. There are fits where three or more batch sizes reached it.

    Args:
        study: the tables.
        target: validation error to get below, not below the raced target, which is the default.
        first: how many trials of each search count (see `first_trials`); None for all.

    Returns:
        Table, fits, regimes and critical batch sizes.

    Raises:
        AnalysisError: there is no search trial, fewer than `first`, or none that took a step; or
            the target is tighter than the raced one, or a model meets it before training.
    """
    begun = begun_below(study, study.target if target is None else target)
    if begun and target not in {None, study.target}:
        raise AnalysisError(
            f"a target must be below the {study.config['race'].get('quantity', 'error')} of every "
            f"model before training, got {target:g}, which {begun} trials of {study.name} met at "
            "step 0; choose a tighter one"
        )
    unfinished = unfinished_records(study)
    study = study if first is None else first_trials(study, first)
    table = with_replicates(steps_to_target(study, target), study, target)
    if not table["stopped_at"].gt(0).any():
        remedy = "fix the workload, delete the parts and run `sweep` again"
        if study.imported:
            remedy = "import runs with measurements after step 0"
        raise AnalysisError(
            f"a study must have a trial that trained, got {study.name} where none took a step; see "
            f"`message` in trials.parquet, {remedy}"
        )
    planned = is_planned(study.config)  # no curve of fixed batch sizes
    found = Analysis(
        study=study,
        target=study.target if target is None else target,
        table=table,
        search=quality_table(study, target),
        rules=scaling_rules(study, table, target),
        goals=() if planned else find_goals(study),
        first=first,
        unfinished=tuple(unfinished),
        begun_below=begun,
        target_for_all=target_for_all(study) if table["steps"].isna().any() else None,
    )
    fits = None if planned else fits_at(study, found.target, table)
    if fits is None:
        return found
    points = fitted_points(table)
    left_out, beyond = points.out_of_reach(), points.unexplained()
    return replace(
        found,
        fits=fits,
        regimes=regimes_of(fits),
        critical=critical_batch_sizes(fits),
        tuning=tuning_of(study, table, target),
        left_out=tuple(points.batch_sizes[left_out].astype(int).tolist()),
        unexplained=tuple(points.batch_sizes[beyond & ~points.missed].astype(int).tolist()),
    )
