"""The whole analysis of a study as one value, and its summary for programs and for people."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from analysis.budgets import budget_records, budget_words
from analysis.estimates import Estimate
from analysis.fit import LEAST_POINTS, ScalingFit, fit_hyperbola
from analysis.folder import ResultsFolder
from analysis.goals import Goal, find_goals, goal_records, goals_markdown
from analysis.quality import quality_table, readable_quality
from analysis.quality_words import quality_sentences
from analysis.regimes import DEFINITIONS, Regimes, find_regimes
from analysis.tables import SCHEMA_VERSION, StudyTables, hyperparameters
from analysis.targets import first_trials, steps_to_target

SUMMARY_JSON = "summary.json"
SUMMARY_MD = "summary.md"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Analysis:
    """What a study says at one target.

    Attributes:
        study: the tables.
        target: validation error to get below.
        table: one row per batch size, as `steps_to_target` gives it.
        fit: the hyperbola; None where too few batch sizes reached the target.
        regimes: the regimes; None with the fit.
        search: how good each search was, as `quality_table` gives it.
        no_fit: why there is no fit; empty where there is one.
        first: how many trials of each search were looked at; None for all.
        goals: what it says at other targets, whatever this one is.
    """

    study: StudyTables
    target: float
    table: pd.DataFrame
    fit: ScalingFit | None
    regimes: Regimes | None
    search: pd.DataFrame
    no_fit: str = ""
    first: int | None = None
    goals: tuple[Goal, ...] = ()

    @property
    def reached(self) -> pd.DataFrame:
        """The rows of the batch sizes that reached the target."""
        return self.table[self.table["steps"].notna()]

    @property
    def quantity(self) -> str:
        """What the target refers to: error or loss."""
        return str(self.study.config["race"].get("quantity", "error"))

    @property
    def title(self) -> str:
        """Workload, optimizer and target on one line."""
        return f"{self.subject}, validation {self.quantity} < {self.target:g}"

    @property
    def subject(self) -> str:
        """Workload and optimizer on one line."""
        config = self.study.config
        workload = str(config["workload"]).rpartition(":")[2]  # a plug-in's class, not its path
        return f"{workload}, {config['optimizer']}"


def analyze(study: StudyTables, target: float | None = None, first: int | None = None) -> Analysis:
    """Analyses a study.

    Args:
        study: the study.
        target: validation error to get below; None for the one raced to, else looser than it.
        first: how many trials of each search to look at, as for `first_trials`; None for all.

    Returns:
        Table, fit and regimes; without the latter two, and with the reason in words, where fewer
        than three batch sizes reached the target.

    Raises:
        AnalysisError: there is no search trial, fewer than `first`, or the target is tighter than
            the raced one.
    """  # noqa: DOC502  (raised by steps_to_target)
    study = study if first is None else first_trials(study, first)
    search = quality_table(study, target)
    table = steps_to_target(study, target)
    goal = study.target if target is None else target
    goals = find_goals(study)
    reached = table[table["steps"].notna()]
    if len(reached) < LEAST_POINTS:
        no_fit = (
            f"No fit: {len(reached)} of {len(table)} batch sizes reached the target, a fit needs "
            f"{LEAST_POINTS}. Add batch sizes or trials, raise race.max_steps, or loosen the "
            "target."
        )
        return Analysis(
            study=study,
            target=goal,
            table=table,
            fit=None,
            regimes=None,
            search=search,
            no_fit=no_fit,
            first=first,
            goals=goals,
        )
    sizes, steps = reached["batch_size"].to_numpy(float), reached["steps"].to_numpy(float)
    fit = fit_hyperbola(sizes, steps)
    regimes = find_regimes(sizes, steps, fit.b_crit)
    return Analysis(
        study=study,
        target=goal,
        table=table,
        fit=fit,
        regimes=regimes,
        search=search,
        first=first,
        goals=goals,
    )


def sentences(analysis: Analysis) -> tuple[str, ...]:
    """Says what was found, one sentence each.

    Args:
        analysis: the analysis.

    Returns:
        Fit, regimes, batch sizes that missed the target, how good the searches were, and how to
        read the numbers.
    """
    if analysis.fit is None or analysis.regimes is None:
        found: tuple[str, ...] = (analysis.no_fit,)
    else:
        found = (*_fit_words(analysis.fit, analysis.regimes), *analysis.regimes.sentences())
    missed = analysis.table[analysis.table["steps"].isna()]
    misses = tuple(
        f"B = {size}: no trial reached the target within {longest} steps."
        for size, longest in zip(missed["batch_size"], missed["stopped_at"], strict=True)
    )
    trials = analysis.table["trials"]
    counts = str(trials.min()) if trials.nunique() == 1 else f"{trials.min()} to {trials.max()}"
    reading = (
        f"Steps to target are the least of {'' if analysis.first is None else 'the first '}"
        f"{counts} trials at each batch size, and depend on how many were run; the target was "
        "crossed after the measurement at `after`."
    )
    return (*found, *misses, *quality_sentences(analysis.search), reading)


def _fit_words(fit: ScalingFit, regimes: Regimes) -> tuple[str, ...]:
    curve = (
        f"S(B) = S_min + E_min / B: {fit.s_min.text('S_min')}, {fit.e_min.text('E_min')}, "
        f"{fit.b_crit.text('b_crit')} ({fit.level:.0%} intervals); "
        f"spread about the curve {math.expm1(fit.sigma):.1%}."
    )
    b_ref = f"{regimes.batch_sizes[0]:g}"
    b_20 = "b_20 not identified" if regimes.b_20 is None else regimes.b_20.text("b_20")
    words = [curve, f"{b_20}, with B_ref = {b_ref}."]
    if not fit.s_min.identified:
        words.append("The data do not bound S_min from below: the plateau is not identified.")
    if not fit.e_min.identified:
        words.append("The data do not bound E_min from below: perfect scaling is not identified.")
    return tuple(words)


def write_summary(analysis: Analysis, folder: ResultsFolder) -> list[str]:
    """Writes `summary.json` and `summary.md`.

    Args:
        analysis: the analysis.
        folder: the results folder; made where missing.

    Returns:
        The names of the files written.
    """
    text = json.dumps(as_record(analysis), indent=2, allow_nan=False)
    folder.write(SUMMARY_JSON, f"{text}\n".encode())
    folder.write(SUMMARY_MD, as_markdown(analysis).encode())
    return [SUMMARY_JSON, SUMMARY_MD]


def as_record(analysis: Analysis) -> dict[str, object]:
    """Gives the analysis as plain finite data; null where unknown or without bound."""
    config, fit, regimes = analysis.study.config, analysis.fit, analysis.regimes
    return {
        "schema_version": SCHEMA_VERSION,
        "study": analysis.study.name,
        "workload": config["workload"],
        "optimizer": config["optimizer"],
        "quantity": analysis.quantity,
        "target": analysis.target,
        "table": json.loads(analysis.table.to_json(orient="records", double_precision=15)),
        "first": analysis.first,
        "search": json.loads(analysis.search.to_json(orient="records", double_precision=15)),
        "fit": None if fit is None else _fit_record(fit),
        "regimes": None if regimes is None else _regimes_record(regimes),
        "goals": goal_records(analysis.goals),
        "budgets": budget_records(analysis.study),
        "definitions": dict(DEFINITIONS),
        "sentences": list(sentences(analysis)),
    }


def _fit_record(fit: ScalingFit) -> dict[str, object]:
    return {
        "model": "S_min + E_min / B",
        "s_min": _estimate_record(fit.s_min),
        "e_min": _estimate_record(fit.e_min),
        "b_crit": _estimate_record(fit.b_crit),
        "sigma": fit.sigma,
        "level": fit.level,
        "batch_sizes": list(fit.batch_sizes),
        "residuals": list(fit.residuals),
    }


def _regimes_record(regimes: Regimes) -> dict[str, object]:
    return {
        "b_perfect": regimes.b_perfect,
        "b_plateau": regimes.b_plateau,
        "b_20": None if regimes.b_20 is None else _estimate_record(regimes.b_20),
        "b_ref": regimes.batch_sizes[0],
        "of": {f"{size:g}": str(regimes.of(size)) for size in regimes.batch_sizes},
    }


def _estimate_record(estimate: Estimate) -> Mapping[str, float | None]:
    return estimate.record()


def as_markdown(analysis: Analysis) -> str:
    """Gives the summary as a Markdown page."""
    found = "\n".join(f"- {sentence}" for sentence in sentences(analysis))
    meaning = "\n".join(f"- `{name}`: {words}." for name, words in DEFINITIONS.items())
    name = analysis.study.name
    goals = goals_markdown(analysis.goals)
    return (
        f"# {name}\n\n{analysis.title}\n\n{found}\n\n"
        f"{_markdown_table(readable_table(analysis))}\n\n"
        f"The searches:\n\n{_markdown_table(readable_quality(analysis.search))}\n\n"
        f"{goals}Fixed budgets: {budget_words(analysis.study)}\n\n"
        f"What the batch sizes mean:\n\n{meaning}\n"
    )


def _markdown_table(rows: pd.DataFrame) -> str:
    header = f"| {' | '.join(rows.columns)} |\n|{' --: |' * len(rows.columns)}"
    body = "\n".join(f"| {' | '.join(row)} |" for row in rows.itertuples(index=False))
    return f"{header}\n{body}"


def readable_table(analysis: Analysis) -> pd.DataFrame:
    """Gives the table as text to read: one row per batch size, "-" where unknown."""
    table = analysis.table
    shown = pd.DataFrame({"B": table["batch_size"].astype(str)})
    for heading, name in {
        "after": "steps_before",
        "steps": "steps",
        "examples": "examples",
    }.items():
        shown[heading] = _texts(table[name], str)
    for name in hyperparameters(analysis.study.trials):
        shown[name.replace("_", " ")] = _texts(table[name], "{:.3g}".format)
    if "momentum" in table:
        shown["lr/(1-m)"] = _texts(table["effective_lr"], "{:.3g}".format)
    if analysis.regimes is not None:
        of = analysis.regimes.of
        shown["regime"] = [
            "-" if pd.isna(count) else str(of(size))
            for size, count in zip(table["batch_size"], table["steps"], strict=True)
        ]
    for name in ("reached", "diverged", "failed"):
        if name != "failed" or table[name].any():
            shown[name] = table[name].astype(str)
    return shown


def _texts(column: "pd.Series[float]", write: Callable[[float], str]) -> list[str]:
    return ["-" if pd.isna(value) else write(value) for value in column]
