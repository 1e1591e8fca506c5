"""Trackio: runs of a project named after the study."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import trackio

from study.tracking.tracker import FinishedRun


class TrackioRuns:
    """Logs to trackio's default place: TRACKIO_DIR, or the cache of Hugging Face."""

    def __init__(self, study: str, folder: Path) -> None:
        """Name the project."""
        self._study = study

    def log(self, run: FinishedRun) -> None:
        """Log the measurements, and the outcome with the settings, as trackio has no summary."""
        outcome = {f"outcome/{k}": v for k, v in run.outcome.items() if v is not None}
        self._start(run.name, {**run.config, **outcome})
        for step, values in run.measurements:
            trackio.log(values, step=step)
        trackio.finish()

    def close(self, summary: Mapping[str, float], figures: Sequence[Path]) -> None:
        """Log the study's numbers and figures as a run of their own."""
        if not summary and not figures:
            return
        self._start("summary", {})
        images = {figure.stem: trackio.Image(str(figure)) for figure in figures}
        trackio.log({**summary, **images}, step=0)
        trackio.finish()

    def _start(self, name: str, config: dict[str, Any]) -> None:
        trackio.init(
            project=self._study,
            name=name,
            config=config,
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
