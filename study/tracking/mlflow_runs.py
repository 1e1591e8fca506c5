"""MLflow: runs of an experiment named after the study, where MLFLOW_TRACKING_URI says."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

from study.tracking.tracker import FinishedRun

_MAX_METRICS, _MAX_PARAMETERS = 1000, 100
"""Most entries that MLflow takes in one call."""


class MlflowRuns:
    """Logs through MLflow's client; without a tracking URI, to MLflow's default place."""

    def __init__(self, study: str, folder: Path) -> None:
        """Find the study's experiment, or create it."""
        self._client = MlflowClient()
        known = self._client.get_experiment_by_name(study)
        new = known is None
        self._experiment = self._client.create_experiment(study) if new else known.experiment_id

    def log(self, run: FinishedRun) -> None:
        """Log settings, measurements, and the outcome as metrics and tags."""
        run_id, now = self._start(run.name), int(time.time() * 1000)
        settings = [Param(key, str(value)) for key, value in run.config.items()]
        for at in range(0, len(settings), _MAX_PARAMETERS):
            self._client.log_batch(run_id, params=settings[at : at + _MAX_PARAMETERS])
        metrics = [
            Metric(key, float(value), now, step)
            for step, values in run.measurements
            for key, value in values.items()
        ]
        metrics += [Metric(f"outcome/{k}", float(v), now, 0) for k, v in run.numbers.items()]
        for at in range(0, len(metrics), _MAX_METRICS):
            self._client.log_batch(run_id, metrics=metrics[at : at + _MAX_METRICS])
        self._client.set_tag(run_id, "outcome", str(run.outcome.get("status")))
        self._client.set_terminated(run_id, "FAILED" if run.failed else "FINISHED")

    def close(self, summary: Mapping[str, float], figures: Sequence[Path]) -> None:
        """Log the study's numbers and figures as a run of their own."""
        if not summary and not figures:
            return
        run_id = self._start("summary")
        for key, value in summary.items():
            self._client.log_metric(run_id, key, value)
        for figure in figures:
            self._client.log_artifact(run_id, str(figure), "figures")
        self._client.set_terminated(run_id)

    def _start(self, name: str) -> str:
        run = self._client.create_run(self._experiment, run_name=name)
        return str(run.info.run_id)
