"""What a tracker is given and has to do; plug-ins of `batchscale.trackers` are such classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishedRun:
    """A trial, or the best one of a batch size, once it has ended.

    Attributes:
        name: unique in its study, such as `B64-search-3`.
        config: workload, optimizer, batch_size, role, trial, seed and the hyperparameters.
        curve: one row per measurement: step, and what was measured there.
        outcome: status, steps, stopped_at, best_error, ...; None where unknown.
    """

    name: str
    config: Mapping[str, Any]
    curve: Sequence[Mapping[str, float]]
    outcome: Mapping[str, Any]

    @property
    def failed(self) -> bool:
        """Whether an exception ended it."""
        return self.outcome.get("status") == "failed"

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers of the outcome."""
        return {k: v for k, v in self.outcome.items() if isinstance(v, int | float)}


class Tracker(Protocol):
    """Shows finished runs. It lives in a process of its own; what it raises is told to the user."""

    def __init__(self, study: str, folder: Path) -> None:
        """Start.

        Args:
            study: name of the study: the project, experiment or group.
            folder: where files may be written, in the study's results folder if that is on a disk.
        """

    def log(self, run: FinishedRun) -> None:
        """Show a run."""

    def close(self, summary: Mapping[str, float], figures: Sequence[Path]) -> None:
        """Show what the study found, and end.

        Args:
            summary: numbers of the analysis by name; empty where nothing could be fitted.
            figures: PNG files, which exist until this returns.
        """
