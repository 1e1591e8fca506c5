"""Weights & Biases: runs of a project, in a group named after the study."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wandb

from study.tracking.tracker import FinishedRun


class WandbRuns:
    """Logs to WANDB_PROJECT, else to `batchscale`; WANDB_MODE=offline needs no login."""

    def __init__(self, study: str, folder: Path) -> None:
        """Keep wandb's own files beside the results."""
        self._study, self._folder = study, folder
        self._project = os.environ.get("WANDB_PROJECT", "batchscale")
        folder.mkdir(parents=True, exist_ok=True)

    def log(self, run: FinishedRun) -> None:
        """Log the measurements, and the outcome as the run's summary."""
        logged = self._start(run.name, dict(run.config))
        for step, values in run.measurements:
            logged.log(values, step=step)
        logged.summary.update({k: v for k, v in run.outcome.items() if v is not None})
        logged.finish(exit_code=int(run.failed))

    def close(self, summary: Mapping[str, float], figures: Sequence[Path]) -> None:
        """Log the study's numbers and figures as a run of their own."""
        if not summary and not figures:
            return
        logged = self._start("summary", {})
        logged.summary.update(dict(summary))
        logged.log({figure.stem: wandb.Image(str(figure)) for figure in figures})
        logged.finish()

    def _start(self, name: str, config: dict[str, Any]) -> Any:
        return wandb.init(
            project=self._project,
            group=self._study,
            name=name,
            config=config,
            dir=str(self._folder),
            settings=wandb.Settings(console="off", silent=True),
        )
