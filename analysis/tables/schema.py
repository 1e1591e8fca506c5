"""The schema of a results folder: its files, the columns of the tables, and the schema version.

`study.storage` writes by this schema, and `analysis.tables.study` reads by it. `results/README.md`
explains each column.
"""

from collections.abc import Hashable, Iterable, Mapping

import pyarrow as pa

STATUSES = ("reached", "exhausted", "capped", "pruned", "diverged", "failed")
ROLES = ("search", "extension", "warm", "replicate", "recipe")
CANDIDATES = ("search", "extension", "warm")
"""Roles whose trials compete for the fewest steps."""
EXPONENTS: Mapping[str, float] = {"linear": 1.0, "square-root": 0.5}
"""Exponent of the batch size in the learning rate, by scaling rule."""

SCHEMA_VERSION = 1
VERSION_KEY = b"batchscale.schema_version"

STUDY_FILE = "study.toml"
TRIALS_FILE = "trials.parquet"
CURVES_FILE = "curves.parquet"
BOXES_FILE = "boxes.parquet"
COST_FILE = "cost.parquet"
DIAGNOSTICS_FILE = "diagnostics.parquet"
PROVENANCE_FILE = "provenance.json"
SUMMARY_FILE = "summary.json"
COST_SUMMARY_FILE = "cost.json"
ARCHIVE_FILE = "archive.json"
"""The `study.json` files of an imported archive, kept for an export."""

TRIAL_KEY = ("batch_size", "role", "trial")
"""Columns that identify a trial, as trials are numbered within a batch size and role."""

TRIAL_COLUMNS: Mapping[str, pa.DataType] = {
    "batch_size": pa.int64(),
    "trial": pa.int64(),
    "role": pa.string(),
    "cohort": pa.int64(),
    "seed": pa.int64(),
    "source_batch_size": pa.int64(),
    "source_role": pa.string(),
    "source_trial": pa.int64(),
    "rule": pa.string(),
    "status": pa.string(),
    "steps": pa.int64(),
    "steps_before": pa.int64(),
    "stopped_at": pa.int64(),
    "best_error": pa.float64(),
    "seconds": pa.float64(),
    "training_seconds": pa.float64(),
    "evaluation_seconds": pa.float64(),
    "mode": pa.string(),
    "pack": pa.int64(),
    "micro_batch": pa.int64(),
    "message": pa.string(),
}
"""Columns of `trials.parquet`; the hyperparameters, float64, follow `cohort`."""
BUDGET = "max_steps"
TEST_ERROR = "test_error"
OPTIONAL_TRIAL_COLUMNS: Mapping[str, pa.DataType] = {BUDGET: pa.int64(), TEST_ERROR: pa.float64()}
"""Last columns, which only some studies have: the budget where each batch size has its own, and the
test error where there is a test split."""

RAW_ERROR, AVERAGED_ERROR = "raw_error", "averaged_error"
"""Columns of the curves where weights are averaged: the error that is not raced to the target."""
QUANTITIES = (TEST_ERROR, RAW_ERROR, AVERAGED_ERROR)
"""Further quantities whose meaning is known; a workload names the others."""

CURVE_COLUMNS: Mapping[str, pa.DataType] = {
    "batch_size": pa.int64(),
    "role": pa.string(),
    "trial": pa.int64(),
    "step": pa.int64(),
    "train_loss": pa.float64(),
    "val_loss": pa.float64(),
    "val_error": pa.float64(),
    "seconds": pa.float64(),
}
"""Columns of `curves.parquet`, one row per measurement, step 0 included; a workload's further
quantities, float64, follow."""

BOX_COLUMNS: Mapping[str, pa.DataType] = {
    "batch_size": pa.int64(),
    "region": pa.int64(),
    "hyperparameter": pa.string(),
    "low": pa.float64(),
    "high": pa.float64(),
    "scale": pa.string(),
}
"""Columns of `boxes.parquet`, one row per batch size, region and searched hyperparameter; region 0
is the study's box, the others are its extensions."""

DIAGNOSTIC_COLUMNS: Mapping[str, pa.DataType] = {
    "what": pa.string(),
    "batch_size": pa.int64(),
    "role": pa.string(),
    "trial": pa.int64(),
    "moment": pa.string(),
    "step": pa.int64(),
    "quantity": pa.string(),
    "variant": pa.string(),
    "x": pa.float64(),
    "y": pa.float64(),
    "value": pa.float64(),
    "low": pa.float64(),
    "high": pa.float64(),
    "examples": pa.int64(),
    "samples": pa.int64(),
}
"""Columns of `diagnostics.parquet`, one row per measured number."""

COST_COLUMNS: Mapping[str, pa.DataType] = {
    "batch_size": pa.int64(),
    "step_seconds": pa.float64(),
    "step_seconds_low": pa.float64(),
    "step_seconds_high": pa.float64(),
    "repeats": pa.int64(),
    "evaluation_seconds": pa.float64(),
    "memory": pa.int64(),
    "micro_batch": pa.int64(),
    "step_joules": pa.float64(),
    "cores_lacking": pa.float64(),
    "parameters": pa.int64(),
    "device": pa.string(),
    "threads": pa.int64(),
    "precision": pa.string(),
    "source": pa.string(),
}
"""Columns of `cost.parquet`, one row per batch size. They never share a table with hyperparameters,
which may therefore have the same names."""

_COMPUTED = (
    *("trials", "examples", "effective_lr", "best", "median", "median_bound", "median_before"),
    *("seeds", "seeds_missed", "steps_median", "interval", "replicate_of", "hyperparameters"),
    *("run", "workload", "optimizer", "target"),
)
"""Columns that the analysis and exports add to tables of trials and of steps to target."""

RESERVED_COLUMNS = frozenset(
    {
        *TRIAL_COLUMNS,
        *OPTIONAL_TRIAL_COLUMNS,
        *QUANTITIES,
        *CURVE_COLUMNS,
        *BOX_COLUMNS,
        *STATUSES,
        *ROLES,
        *_COMPUTED,
    }
)
"""Names that no hyperparameter and no measured quantity may have, as columns have them."""


def trial_schema(hyperparameters: tuple[str, ...], optional: Iterable[str] = ()) -> pa.Schema:
    """Return the schema of `trials.parquet` with hyperparameters and `OPTIONAL_TRIAL_COLUMNS`."""
    fields = list(TRIAL_COLUMNS.items())
    after = list(TRIAL_COLUMNS).index("cohort") + 1
    fields[after:after] = [(name, pa.float64()) for name in hyperparameters]
    fields += [(name, OPTIONAL_TRIAL_COLUMNS[name]) for name in optional]
    return _versioned(pa.schema(fields))


def curve_schema(further: Iterable[str] = ()) -> pa.Schema:
    """Return the schema of `curves.parquet` with `further` measured quantities."""
    kinds = {**CURVE_COLUMNS, **dict.fromkeys(further, pa.float64())}
    return _versioned(pa.schema(list(kinds.items())))


def file_schema(file: str) -> pa.Schema:
    """Return the schema of a file whose columns are always the same."""
    return _versioned(pa.schema(list(COLUMNS[file].items())))


def hyperparameters(trials: Iterable[Hashable]) -> tuple[str, ...]:
    """Return the hyperparameters among the columns of a table of trials, in their order."""
    others = {*TRIAL_COLUMNS, *OPTIONAL_TRIAL_COLUMNS}
    return tuple(str(name) for name in trials if name not in others)


def _versioned(schema: pa.Schema) -> pa.Schema:
    return schema.with_metadata({VERSION_KEY: str(SCHEMA_VERSION).encode()})


COLUMNS = {
    TRIALS_FILE: TRIAL_COLUMNS,
    CURVES_FILE: CURVE_COLUMNS,
    BOXES_FILE: BOX_COLUMNS,
    COST_FILE: COST_COLUMNS,
    DIAGNOSTICS_FILE: DIAGNOSTIC_COLUMNS,
}
"""Columns of each file."""
