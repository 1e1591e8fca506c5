"""What the columns of a table of runs mean: known names, the user's mapping, units of steps."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

import pandas as pd

from analysis.errors import AnalysisError
from analysis.runs.rows import Rows
from analysis.tables.schema import QUANTITIES, RESERVED_COLUMNS
from analysis.tables.validation import is_quantity

ALIASES: Mapping[str, tuple[str, ...]] = {
    "run": ("run_id", "Name"),
    "status": ("State",),
    "lr": ("learning_rate",),
}
"""Other names of a column, used where the table has no column of the known name."""
METRICS = ("val_error", "val_accuracy", "val_loss")
"""Columns that may become the error of a study, in the order in which they are tried."""
MEASURED = (*METRICS, "train_loss", "seconds")
KNOWN = frozenset(
    {"run", "step", *MEASURED}
    | {"batch_size", "seed", "status", "stopped_at", "workload", "optimizer", "target", "message"}
    | {"steps", "steps_before", "best_error"}  # of one row per run
    | {"role", "trial", "source_batch_size", "source_role", "source_trial", "rule"}  # as exported
)
HYPERPARAMETERS = ("lr", "momentum", "weight_decay", "beta1", "beta2", "epsilon", "warmup_steps")
"""Always hyperparameters; other columns are taken for one if they are constant in each run."""

NOT_SETTINGS = re.compile(r".*(runtime|elapsed|wall_?time|timestamp|per_second)", re.IGNORECASE)
"""Numbers that trackers add to each run; hyperparameters only if the user maps them."""

UNITS = ("updates", "examples", "tokens")


@dataclass(frozen=True, kw_only=True, slots=True)
class Units:
    """What the steps of a table count."""

    step: str = "updates"  # one of `UNITS`
    # length of a sequence, where steps count tokens and batch sizes count sequences
    tokens_per_example: int | None = None

    def __post_init__(self) -> None:
        """Check the units before anything is read."""
        if self.step not in UNITS:
            raise AnalysisError(
                f"--step-unit must be one of {', '.join(UNITS)}, got {self.step!r}; convert others "
                "in the table"
            )
        if (self.step == "tokens") != (self.tokens_per_example is not None):
            raise AnalysisError(
                "--step-unit tokens and --tokens-per-example go together, got "
                f"{self.step} and {self.tokens_per_example}; where batch_size counts tokens too, "
                "use --step-unit examples"
            )
        if self.tokens_per_example is not None and self.tokens_per_example < 1:
            raise AnalysisError(
                f"--tokens-per-example must be at least 1, got {self.tokens_per_example}"
            )

    def updates(
        self, steps: "pd.Series[float]", batch_sizes: "pd.Series[float]"
    ) -> "pd.Series[float]":
        """Return steps in updates; a last, partial batch counts as one."""
        if self.step == "updates":
            return steps
        return -(-steps // (batch_sizes * (self.tokens_per_example or 1)))


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table by the names that batchscale uses."""

    by_name: Mapping[str, str]
    mapped: Sequence[str] = ()  # names in `--columns` that are not known ones
    # columns that the user leaves out, as in `--columns lr=`
    dropped: frozenset[str] = field(default_factory=frozenset)

    def __contains__(self, name: str) -> bool:
        return name in self.by_name


def parse_mapping(texts: Sequence[str]) -> dict[str, str]:
    """Return the mapping in the options `--columns name=column,...`.

    Raises:
        AnalysisError: an entry has another form, or a name is mapped twice.

    >>> parse_mapping(["step=global_step,lr=learning_rate"])
    {'step': 'global_step', 'lr': 'learning_rate'}
    """
    mapping: dict[str, str] = {}
    for entry in ",".join(texts).split(",") if texts else ():
        name, equals, column = (part.strip() for part in entry.partition("="))
        if not name or not equals or name in mapping:
            raise AnalysisError(
                "--columns must be pairs name=column, separated by commas, each name once, got "
                f"{entry!r}; write for example step=global_step,lr=learning_rate"
            )
        mapping[name] = column
    return mapping


def columns_of(rows: Rows, mapping: Mapping[str, str]) -> Columns:
    """Return the columns of a table by name.

    Raises:
        AnalysisError: a mapped column is missing, or its name is malformed or reserved.
    """
    names = rows.names
    for name, column in mapping.items():
        if column and column not in names:
            _refuse(rows, f"the columns that --columns names, {column!r} for {name}")
        if name not in KNOWN and not is_quantity(name):
            raise AnalysisError(
                "a name in --columns must consist of letters, digits and any of _ . + - /, got "
                f"{name!r}; choose another"
            )
        if name in RESERVED_COLUMNS - KNOWN - {*QUANTITIES}:
            raise AnalysisError(
                "a hyperparameter or a quantity must not have the name of a column of the tables, "
                f"got {name!r} in --columns; choose another"
            )
    by_name = {name: column for name, column in mapping.items() if column}
    for name in (*KNOWN, *HYPERPARAMETERS, *QUANTITIES):
        candidates = (name, *ALIASES.get(name, ()))
        # a mapped column has no second name
        known = [c for c in candidates if c in names and c not in mapping.values()]
        if name not in mapping and known:
            by_name[name] = known[0]
    dropped = [(name, *ALIASES.get(name, ())) for name, column in mapping.items() if not column]
    return Columns(
        by_name=by_name,
        mapped=tuple(n for n in mapping if mapping[n] and n not in KNOWN.union(QUANTITIES)),
        dropped=frozenset(column for group in dropped for column in group),
    )


def check_needed(rows: Rows, columns: Columns) -> None:
    """Refuse a table without batch sizes or measurements, or whose steps count epochs."""
    if "batch_size" not in columns:
        _refuse(rows, "a column batch_size")
    if "step" in columns and not any(name in columns for name in METRICS):
        _refuse(rows, f"a column of {', '.join(METRICS)}")
    for name in ("step", "steps", "steps_before", "stopped_at"):
        column = columns.by_name.get(name, "")
        if "epoch" in column.lower():
            raise AnalysisError(
                f"a step must count updates, examples or tokens, got epochs, the column {column!r} "
                f"of {rows.where}; multiply it by the number of training examples and give "
                "--step-unit examples"
            )
    if "step" not in columns and "steps" not in columns:
        _refuse(
            rows, "a column step (one row per measurement) or steps (to target, one row per run)"
        )


def _refuse(rows: Rows, needed: str) -> NoReturn:
    raise AnalysisError(
        f"the runs must have {needed}, got the columns {', '.join(rows.names)} in {rows.where}; "
        "map them with --columns name=column"
    )
