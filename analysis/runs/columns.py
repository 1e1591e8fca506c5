"""What the columns of a table of runs mean: names, a mapping for the others, units of steps."""

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
"""Names that stand for a known one where that is not a column itself."""
METRICS = ("val_error", "val_accuracy", "val_loss")
"""What may be the error of a study, the default ones first."""
MEASURED = (*METRICS, "train_loss", "seconds")
KNOWN = frozenset(
    {"run", "step", *MEASURED}
    | {"batch_size", "seed", "status", "stopped_at", "workload", "optimizer", "target", "message"}
    | {"steps", "steps_before", "best_error"}  # of one row per run
    | {"role", "trial", "source_batch_size", "source_role", "source_trial", "rule"}  # as exported
)
HYPERPARAMETERS = ("lr", "momentum", "weight_decay", "beta1", "beta2", "epsilon", "warmup_steps")
"""Those that must be numbers and the same in all rows of a run; others show it by being so."""

NO_SETTING = re.compile(r".*(runtime|elapsed|wall_?time|timestamp|per_second)", re.IGNORECASE)
"""Names of numbers that a tracker adds to each run; they are settings only if the user says so."""

UNITS = ("updates", "examples", "tokens")


@dataclass(frozen=True, kw_only=True, slots=True)
class Units:
    """What a step of the rows counts."""

    step: str = "updates"  # one of `UNITS`
    # of a sequence, where steps count tokens and batch sizes do not
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
        """Return steps as updates: those needed for so many examples, a last partial one too."""
        if self.step == "updates":
            return steps
        return -(-steps // (batch_sizes * (self.tokens_per_example or 1)))


@dataclass(frozen=True, slots=True)
class Columns:
    """The column of the table by the name that batchscale has for it."""

    of: Mapping[str, str]  # columns by known name or name of a hyperparameter
    # the names that the user mapped and that have no meaning of their own
    given: Sequence[str] = ()
    # columns that the user leaves out, as in `--columns lr=`
    dropped: frozenset[str] = field(default_factory=frozenset)

    def __contains__(self, name: str) -> bool:
        return name in self.of


def parse_mapping(texts: Sequence[str]) -> dict[str, str]:
    """Return the mapping in the options `--columns ours=theirs,...`.

    Raises:
        AnalysisError: an entry has another form, or a name is mapped twice.

    >>> parse_mapping(["step=global_step,lr=learning_rate"])
    {'step': 'global_step', 'lr': 'learning_rate'}
    """
    found: dict[str, str] = {}
    for entry in ",".join(texts).split(",") if texts else ():
        name, equals, column = (part.strip() for part in entry.partition("="))
        if not name or not equals or name in found:
            raise AnalysisError(
                "--columns must be pairs name=column, separated by commas, each name once, got "
                f"{entry!r}; write for example step=global_step,lr=learning_rate"
            )
        found[name] = column
    return found


def columns_of(rows: Rows, mapping: Mapping[str, str]) -> Columns:
    """Return the columns that a table has, by their known names.

    Raises:
        AnalysisError: a column of the mapping is missing, or its name is one of the tables.
    """
    names = rows.names
    for name, column in mapping.items():
        if column and column not in names:
            _refuse(rows, f"the columns that --columns names, {column!r} for {name}")
        if name not in KNOWN and not is_quantity(name):
            raise AnalysisError(
                f"a name in --columns must be of letters, digits and any of _ . + - /, got {name!r}"
                "; choose another"
            )
        if name in RESERVED_COLUMNS - KNOWN - {*QUANTITIES}:
            raise AnalysisError(
                "a hyperparameter or a quantity must not have the name of a column of the tables, "
                f"got {name!r} in --columns; choose another"
            )
    found = {name: column for name, column in mapping.items() if column}
    for name in (*KNOWN, *HYPERPARAMETERS, *QUANTITIES):
        candidates = (name, *ALIASES.get(name, ()))
        # a column that was given a name has no other one
        known = [c for c in candidates if c in names and c not in mapping.values()]
        if name not in mapping and known:
            found[name] = known[0]
    dropped = [(name, *ALIASES.get(name, ())) for name, column in mapping.items() if not column]
    return Columns(
        of=found,
        given=tuple(n for n in mapping if mapping[n] and n not in KNOWN.union(QUANTITIES)),
        dropped=frozenset(column for group in dropped for column in group),
    )


def check_needed(rows: Rows, columns: Columns) -> None:
    """Refuse a table without batch sizes or measurements, and steps that count epochs."""
    if "batch_size" not in columns:
        _refuse(rows, "a column batch_size")
    if "step" in columns and not any(name in columns for name in METRICS):
        _refuse(rows, f"a column of {', '.join(METRICS)}")
    counts = (columns.of.get(name, "") for name in ("step", "steps", "steps_before", "stopped_at"))
    for column in (name for name in counts if "epoch" in name.lower()):
        raise AnalysisError(
            f"a step must count updates, examples or tokens, got epochs, the column {column!r} of "
            f"{rows.where}; multiply it by the number of training examples and give --step-unit "
            "examples"
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
