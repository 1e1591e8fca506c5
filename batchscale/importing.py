"""Import of finished runs of any trainer, from Python."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from analysis.runs.columns import Units
from analysis.runs.importing import Choices, import_rows
from analysis.runs.importing import import_runs as import_source
from analysis.runs.rows import Rows
from analysis.runs.space import parse_space
from analysis.tables.folder import ResultsFolder
from batchscale.arguments import are_texts, is_place, refuse_target, refuse_unless
from batchscale.loading import Study, load


def import_runs(  # noqa: PLR0913 - one argument for each option of the command
    runs: pd.DataFrame | str | Path,
    results: str | Path = "results",
    *,
    name: str = "runs",
    columns: Mapping[str, str] | None = None,
    target: float | None = None,
    metric: str | None = None,
    space: Mapping[str, str] | None = None,
    step_unit: str = "updates",
    tokens_per_example: int | None = None,
    join: str | Path | None = None,
) -> Study | list[Study]:
    """Import finished runs as a results folder, as `batchscale import` does.

    Args:
        runs: a DataFrame, or what the command takes: a table, MLflow's store, a folder of event
            files, `wandb:entity/project`. In a DataFrame NaN is a missing value, as pandas has no
            other; infinity is a divergence.
        results: parent of the study's folder, a path or a URI.
        name: name of the study, for a DataFrame.
        columns: your names of columns by batchscale's names; an empty name leaves one out.
        target: validation error to get below; None to choose it later, if runs have measurements.
        metric: what becomes the error: val_error, val_accuracy or val_loss; None for the first.
        space: the ranges that the points were drawn from evenly and independently, such as
            `{"lr": "1e-4:1:log"}`; None if unknown.
        step_unit: what a step counts: updates, examples or tokens.
        tokens_per_example: length of a sequence, for steps in tokens.
        join: a table with one row per run, whose columns are added to the runs.

    Returns:
        The study, loaded; a list where the runs are of several workloads or optimizers.

    Raises:
        BatchscaleError: the runs are inconsistent, or lack a column; nothing is written.
    """  # noqa: DOC502  (raised inside)
    refuse_target(target)
    refuse_unless(is_place(results), "results", "a path or a URI", results)
    refuse_unless(isinstance(name, str), "name", "a string", name)
    choices = Choices(
        mapping=_checked("columns", columns or {}),
        units=Units(step=step_unit, tokens_per_example=tokens_per_example),
        target=None if target is None else float(target),
        metric=metric,
        space=parse_space(
            [f"{key}={text}" for key, text in _checked("space", space or {}).items()]
        ),
        join=None if join is None else Path(join),
    )
    folder = ResultsFolder.at(results)
    if isinstance(runs, pd.DataFrame):
        made = import_rows(_rows(runs), name, folder, choices)
    else:
        refuse_unless(is_place(runs), "runs", "a DataFrame or a path", runs)
        made = import_source(str(runs), folder, choices)
    studies = [load(one.folder.location) for one in made]
    return studies[0] if len(studies) == 1 else studies


def _rows(runs: pd.DataFrame) -> Rows:
    """Return the rows of a DataFrame; named levels of its index become columns."""
    named = [level for level in runs.index.names if level is not None]
    frame = runs.reset_index([level for level in named if level not in runs.columns])
    frame = frame.reset_index(drop=True).astype(object)
    frame.columns = [str(column) for column in frame.columns]
    return Rows(where="the table", frame=frame.where(frame.notna(), None))


def _checked(name: str, mapping: Mapping[str, str]) -> dict[str, str]:
    sound = isinstance(mapping, Mapping) and are_texts([*mapping, *mapping.values()])
    rule = 'a mapping of strings, such as {"step": "global_step"}'
    refuse_unless(sound, name, rule, mapping)
    return dict(mapping)
