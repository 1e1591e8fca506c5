"""The interface of trackers, which plug-ins of `batchscale.trackers` implement."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishedRun:
    """A finished trial, or the best one of a batch size.

    Attributes:
        name: unique in its study, such as `B64-search-3`.
        config: workload, optimizer, batch_size, role, trial, seed and the hyperparameters.
        curve: one row per measurement: step, and the values measured there.
        outcome: status, steps, stopped_at, best_error, ...; None where unknown.
    """

    name: str
    config: Mapping[str, Any]
    curve: Sequence[Mapping[str, float]]
    outcome: Mapping[str, Any]

    @property
    def failed(self) -> bool:
        """Whether the trial ended with an exception."""
        return self.outcome.get("status") == "failed"

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers of the outcome."""
        return {k: v for k, v in self.outcome.items() if isinstance(v, int | float)}

    @property
    def measurements(self) -> Iterator[tuple[int, dict[str, float]]]:
        """The step and the other values of each row of the curve."""
        for row in self.curve:
            values = dict(row)
            yield int(values.pop("step")), values


class Tracker(Protocol):
    """Shows finished runs. It runs in another process; the user is told of its exceptions."""

    def __init__(self, study: str, folder: Path) -> None:
        """Start.

        Args:
            study: name of the study: the project, experiment or group.
            folder: where to write files; the study's results folder if that is on a disk.
        """

    def log(self, run: FinishedRun) -> None:
        """Show a run."""

    def close(self, summary: Mapping[str, float], figures: Sequence[Path]) -> None:
        """Show the summary of the study, and end.

        Args:
            summary: numbers of the analysis by name; empty if it failed.
            figures: PNG files, which exist until this returns.
        """
