"""Checks of the values in a part, which may come from anybody."""

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.tables.files import remedy
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import trial_schema
from study.config.study import ResolvedStudy
from study.errors import StudyError, cause
from study.records import Role, ScalingRule, Status
from study.storage.curve_columns import curve_kinds, curve_values

CORRUPT = (KeyError, TypeError, ValueError, RecursionError, OverflowError, NotImplementedError)
"""Raised on reading faulty values; the last by pyarrow, for a type that it cannot convert."""
_ALWAYS = ("batch_size", "trial", "role", "cohort", "seed", "status", "stopped_at", "message")
_CHOICES = {"role": Role, "status": Status, "source_role": Role, "rule": ScalingRule}
_MAXIMUM = 2**53


class CorruptPartError(ValueError):
    """A part contains something that no worker writes; the message says what."""


@contextlib.contextmanager
def refused_if_corrupt(folder: ResultsFolder, name: str) -> Iterator[None]:
    """Turn any of `CORRUPT` into a StudyError that names the part."""
    try:
        yield
    except CORRUPT as error:
        got = str(error) if isinstance(error, CorruptPartError) else cause(error)
        raise StudyError(
            f"a part must be as a worker wrote it, got {got} in {folder / name}; {remedy(name)}"
        ) from error


def of_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the columns of a schema, in its order and types; errors are among `CORRUPT`."""
    chosen = table.select(schema.names)
    return chosen if chosen.schema.equals(schema) else chosen.cast(schema)


def checked(tables: Sequence[pa.Table], resolved: ResolvedStudy) -> pa.Table:
    """Return the rows of one or more parts as one table of sound values.

    Raises:
        CorruptPartError: the values have the right types, but no worker writes them.
    """
    of_trials = trial_schema(resolved.hyperparameters)
    schema = pa.schema([*of_trials, *curve_kinds(resolved.further).items()])
    if not all(table.num_rows for table in tables):
        raise CorruptPartError("no trial")
    table = pa.concat_tables([of_schema(table, schema) for table in tables]).combine_chunks()
    _check_trials(table, resolved)
    sizes, values = curve_values(table, resolved.further)
    step = values["step"]
    rises = np.diff(step) > 0
    rises[np.cumsum(sizes[sizes > 0])[:-1] - 1] = True  # from one curve to the next
    if not rises.all() or (step < 0).any():
        raise CorruptPartError("a curve whose steps do not rise from 0")
    if not np.isfinite(values["val_error"]).all():
        raise CorruptPartError("a curve with errors that are not finite")
    return table


def _check_trials(table: pa.Table, resolved: ResolvedStudy) -> None:
    for name in (*_ALWAYS, *resolved.hyperparameters):
        if table[name].null_count:
            raise CorruptPartError(f"a trial without {name}")
    for name, kind in _CHOICES.items():
        if others := set(pc.unique(table[name]).to_pylist()) - {*kind, None}:
            raise CorruptPartError(f"a {name} of {min(others)!r}")
    sizes, trials = (table[name].to_numpy() for name in ("batch_size", "trial"))
    known = np.isin(sizes, resolved.batch_sizes) & (trials >= 0) & (trials <= _MAXIMUM)
    if not known.all():
        row = np.argmin(known)
        raise CorruptPartError(f"trial {trials[row]} at batch size {sizes[row]}")
    for name in resolved.hyperparameters:
        if not pc.all(pc.is_finite(table[name])).as_py():
            raise CorruptPartError(f"a {name} that is not finite")
    for name in ("stopped_at", "steps", "steps_before"):
        if (pc.min(table[name]).as_py() or 0) < 0:
            raise CorruptPartError(f"{name} below 0")
    reached = pc.is_in(table["status"], pa.array([Status.REACHED.value]))
    if not pc.is_valid(table["steps"]).equals(reached):
        raise CorruptPartError("steps where the status is not reached, or none where it is")
