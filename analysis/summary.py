"""The whole analysis of a study as one value, and its summary for programs and for people."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from analysis.critical import DEFINITIONS, CriticalBatchSize, critical_batch_sizes
from analysis.findings import critical_record, fit_sentences, fits_record
from analysis.fit import Fits, ScalingFit, fit_all
from analysis.folder import ResultsFolder
from analysis.models import MODELS
from analysis.points import Points
from analysis.regimes import Regimes, find_regimes
from analysis.tables import SCHEMA_VERSION, StudyTables, hyperparameters
from analysis.targets import steps_to_target

SUMMARY_JSON = "summary.json"
SUMMARY_MD = "summary.md"

_LEFT_OUT = (
    "no curve between perfect scaling and a plateau passes by that, so the fits leave it out: look "
    "at its search, or whether so large or small a batch can reach the target at all"
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Analysis:
    """What a study says at one target.

    Attributes:
        study: the tables.
        target: validation error to get below.
        table: one row per batch size, as `steps_to_target` gives it.
        fits: every model fitted; None where too few batch sizes reached the target.
        regimes: the regimes; None with the fits.
        critical: the critical batch sizes by name; empty without fits.
        left_out: batch sizes whose miss no curve passes by; they are in no fit.
        no_fit: why there is no fit; empty where there is one.
    """

    study: StudyTables
    target: float
    table: pd.DataFrame
    fits: Fits | None = None
    regimes: Regimes | None = None
    critical: Mapping[str, CriticalBatchSize] = field(default_factory=dict)
    left_out: tuple[int, ...] = ()
    no_fit: str = ""

    @property
    def fit(self) -> ScalingFit | None:
        """The hyperbola, which is there whenever there is a fit."""
        return None if self.fits is None else self.fits["hyperbola"]

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
        config = self.study.config
        goal = f"validation {self.quantity} < {self.target:g}"
        workload = str(config["workload"]).rpartition(":")[2]  # a plug-in's class, not its path
        return f"{workload}, {config['optimizer']}, {goal}"


def analyze(study: StudyTables, target: float | None = None) -> Analysis:
    """Analyses a study.

    Args:
        study: the study.
        target: validation error to get below; None for the one raced to, else looser than it.

    Returns:
        Table, fits, regimes and critical batch sizes; with a reason in words instead of all but
        the table where fewer than three batch sizes reached the target. A batch size that missed it
        enters the fits by the steps that its longest trial took, as a lower bound.

    Raises:
        AnalysisError: there is no search trial, or the target is tighter than the raced one.
    """  # noqa: DOC502  (raised by steps_to_target)
    table = steps_to_target(study, target)
    goal = study.target if target is None else target
    reached = table[table["steps"].notna()]
    least = MODELS["hyperbola"].least_points
    if len(reached) < least:
        no_fit = (
            f"No fit: {len(reached)} of {len(table)} batch sizes reached the target, a fit needs "
            f"{least}. Add batch sizes or trials, raise race.max_steps, or loosen the "
            "target."
        )
        return Analysis(study=study, target=goal, table=table, no_fit=no_fit)
    points = _points(table)
    left_out = points.out_of_reach()
    fits = fit_all(points.without(left_out))
    return Analysis(
        study=study,
        target=goal,
        table=table,
        fits=fits,
        regimes=find_regimes(reached["batch_size"], reached["steps"]),
        critical=critical_batch_sizes(fits),
        left_out=tuple(points.batch_sizes[left_out].astype(int).tolist()),
    )


def _points(table: pd.DataFrame) -> Points:
    """Gives what is fitted; a batch size where no trial took a step says nothing."""
    missed = table["steps"].isna()
    steps = table["steps"].fillna(table["stopped_at"])
    said = (steps > 0).fillna(False)
    return Points.of(
        table.loc[said, "batch_size"].to_numpy(float),
        steps[said].to_numpy(float),
        missed[said].to_numpy(bool),
    )


def sentences(analysis: Analysis) -> tuple[str, ...]:
    """Says what was found, one sentence each.

    Args:
        analysis: the analysis.

    Returns:
        Fit, regimes, batch sizes that missed the target, and how to read the numbers.
    """
    if analysis.fits is None or analysis.regimes is None:
        found: tuple[str, ...] = (analysis.no_fit,)
    else:
        words = fit_sentences(analysis.fits, analysis.critical)
        found = (*words, *analysis.regimes.sentences())
    missed = analysis.table[analysis.table["steps"].isna()]
    misses = tuple(
        f"B = {size}: no trial reached the target within {longest} steps"
        + (f"; {_LEFT_OUT}." if size in analysis.left_out else ".")
        for size, longest in zip(missed["batch_size"], missed["stopped_at"], strict=True)
    )
    trials = analysis.table["trials"]
    counts = str(trials.min()) if trials.nunique() == 1 else f"{trials.min()} to {trials.max()}"
    reading = (
        f"Steps to target are the least of {counts} trials at each batch size, and depend on how "
        "many were run; the target was crossed after the measurement at `after`."
    )
    return (*found, *misses, reading)


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
    config, fits, regimes = analysis.study.config, analysis.fits, analysis.regimes
    return {
        "schema_version": SCHEMA_VERSION,
        "study": analysis.study.name,
        "workload": config["workload"],
        "optimizer": config["optimizer"],
        "quantity": analysis.quantity,
        "target": analysis.target,
        "table": json.loads(analysis.table.to_json(orient="records", double_precision=15)),
        **fits_record(fits),
        "left_out": list(analysis.left_out),
        "critical_batch_sizes": critical_record(analysis.critical),
        "regimes": None if regimes is None else _regimes_record(regimes),
        "definitions": dict(DEFINITIONS),
        "sentences": list(sentences(analysis)),
    }


def _regimes_record(regimes: Regimes) -> dict[str, object]:
    return {
        "b_perfect": regimes.b_perfect,
        "b_plateau": regimes.b_plateau,
        "of": {f"{size:g}": str(regimes.of(size)) for size in regimes.batch_sizes},
    }


def as_markdown(analysis: Analysis) -> str:
    """Gives the summary as a Markdown page."""
    rows = readable_table(analysis)
    header = f"| {' | '.join(rows.columns)} |\n|{' --: |' * len(rows.columns)}"
    body = "\n".join(f"| {' | '.join(row)} |" for row in rows.itertuples(index=False))
    found = "\n".join(f"- {sentence}" for sentence in sentences(analysis))
    meaning = "\n".join(f"- `{name}`: {words}." for name, words in DEFINITIONS.items())
    name = analysis.study.name
    return (
        f"# {name}\n\n{analysis.title}\n\n{found}\n\n{header}\n{body}\n\n"
        f"What the batch sizes mean:\n\n{meaning}\n"
    )


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
