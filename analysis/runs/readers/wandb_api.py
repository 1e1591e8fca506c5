"""The runs of a Weights & Biases project, by its public API (extra `wandb`)."""

from collections.abc import Iterator, Mapping
from typing import Any

from analysis.errors import AnalysisError
from analysis.runs.readers.tracked import Curve, TrackedRun, tracked_rows, wanted
from analysis.runs.rows import Rows
from analysis.tables.nested import leaves


def read_wandb(project: str, mapping: Mapping[str, str]) -> Rows:
    """Return the runs of a project, entity/project; the mapping must name the step.

    Raises:
        AnalysisError: wandb is not installed, the step is not mapped, or the project is unreadable.
    """
    if "step" not in mapping:
        raise AnalysisError(
            "an import from Weights & Biases needs the name of the step, got none: its own `_step` "
            "counts calls of `log`; give --columns step=trainer/global_step, or step=_step where "
            "the two are the same"
        )
    try:
        import wandb
    except ImportError as error:
        raise AnalysisError(
            "an import from Weights & Biases needs the package wandb, got none; run "
            "`pip install 'batchscale[wandb]'`, or export the runs as CSV"
        ) from error
    where = f"wandb:{project}"
    try:
        return tracked_rows(where, _runs(wandb.Api(), project, mapping), mapping, mapping["step"])
    except AnalysisError:
        raise
    except Exception as error:  # errors of the network, the account and the API
        raise AnalysisError(
            f"a Weights & Biases project must be one that you can read, got {where}: {error}; "
            "check entity/project, `wandb login` and the network"
        ) from error


def _runs(api: Any, project: str, mapping: Mapping[str, str]) -> Iterator[TrackedRun]:
    names, step = wanted(mapping), mapping["step"]
    for run in api.runs(project):
        metrics = [name for name in run.summary.keys() if not name.startswith("_")]  # noqa: SIM118
        yield TrackedRun(
            settings={
                **dict(leaves(dict(run.config))),
                "run": run.id,
                "Name": run.name,
                "status": run.state,
            },
            curves={
                name: _curve(run, step, name) if name in names else ()
                for name in dict.fromkeys([*metrics, step])
                if name != step
            },
        )


def _curve(run: Any, step: str, name: str) -> Curve:
    """Return every value of a measurement; `history` would return a sample."""
    return [
        (row[step], row[name])
        for row in run.scan_history(keys=[step, name])
        if row.get(step) is not None and row.get(name) is not None
    ]
