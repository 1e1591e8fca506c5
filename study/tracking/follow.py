"""The sweep's side of tracking: it hands over finished trials and collects failures."""

import contextlib
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.errors import AnalysisError
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import TEST_ERROR
from study.config.study import ResolvedStudy
from study.orchestration.progress import Progress
from study.records import TrialResult
from study.storage.trial_rows import source_columns, test_error
from study.tracking.registry import TRIAL
from study.tracking.serve import CLOSE
from study.tracking.tracker import FinishedRun

if TYPE_CHECKING:
    from analysis.report.summary import Analysis

MAX_SECONDS = 120.0
"""How long trackers may take after the sweep has ended."""


@contextlib.contextmanager
def tracked(
    names: Sequence[str],
    by: str,
    folder: ResultsFolder,
    resolved: ResolvedStudy,
    progress: Progress,
) -> Iterator[list[str]]:
    """Let trackers follow what is recorded while the body runs.

    Yields:
        A list that in the end has a sentence for each tracker that failed.
    """
    failures: list[str] = []
    if not names:
        yield failures
        return
    following = Following(names, folder, resolved, by)
    progress.listeners.append(following.add)
    try:
        yield failures
        failures += following.finish()
    finally:
        following.end()


class Following:
    """Hands the trials of a sweep to trackers, whose failures never harm the sweep."""

    def __init__(
        self, names: Sequence[str], folder: ResultsFolder, resolved: ResolvedStudy, by: str
    ) -> None:
        """Start the process of the trackers, which `check_trackers` has allowed."""
        self._resolved, self._folder, self._by = resolved, folder, by
        self._best: dict[int, TrialResult] = {}
        self._problem, self._runs = "", 0
        self._scratch = tempfile.TemporaryDirectory(
            prefix="batchscale-", ignore_cleanup_errors=True
        )
        scratch = Path(self._scratch.name)
        self._spool, self._failures = scratch / "runs.jsonl", scratch / "failures.txt"
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._spool.touch()
            with self._failures.open("wb") as failures, (scratch / "log.txt").open("wb") as log:
                self._process = subprocess.Popen(
                    [
                        *(sys.executable, "-P", "-m", "study.tracking.serve"),
                        *(str(self._spool), folder.name, str(tracker_folder(folder)), *names),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=failures,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C is for the sweep
                )
        except OSError as error:
            self._problem = f"the trackers could not be started: {error}"

    def add(self, results: Sequence[TrialResult]) -> None:
        """Hand over the trials of a cohort that has just been recorded."""
        self._runs += len(results)
        for result in results:
            if self._by == TRIAL:
                self._hand_over(finished_run(self._resolved, result))
            else:
                best = self._best.get(result.batch_size, result)
                self._best[result.batch_size] = min(best, result, key=attrgetter("rank"))

    def finish(self) -> list[str]:
        """Hand over the study's summary; return a sentence for each tracker that failed."""
        for size, result in sorted(self._best.items()):
            self._hand_over(finished_run(self._resolved, result, name=f"B{size}"))
        if not self._runs and not self._problem:
            return []
        summary, figures = _summary(self._folder, Path(self._scratch.name, "figures"))
        self._write(CLOSE + json.dumps({"summary": summary, "figures": figures}))
        if self._problem:
            return [f"nothing more was tracked: {self._problem}"]
        return self._wait()

    def end(self) -> None:
        """End the trackers' process if it is running, and remove its files."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._scratch.cleanup()

    def _wait(self) -> list[str]:
        assert self._process is not None  # else there is a problem
        end = []
        try:
            if code := self._process.wait(MAX_SECONDS):
                end = [f"the trackers ended with code {code}; they lack some runs"]
        except subprocess.TimeoutExpired:
            end = [f"the trackers were ended after {MAX_SECONDS:.0f} s; they may lack some runs"]
        lines = self._failures.read_text(encoding="utf-8", errors="replace").splitlines()
        return [*(f"nothing more was tracked by {line}" for line in lines), *end]

    def _hand_over(self, run: FinishedRun) -> None:
        self._write(json.dumps(asdict(run)))

    def _write(self, line: str) -> None:
        if self._problem:
            return
        try:
            with self._spool.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        except OSError as error:
            self._problem = f"{self._spool} must be writable: {error.strerror or error}"


def finished_run(resolved: ResolvedStudy, result: TrialResult, name: str = "") -> FinishedRun:
    """Return a trial in the form that trackers take, with the outcome that its cohort recorded."""
    point, outcome, curve = result.point, result.outcome, result.curve
    columns = {
        name: curve.column(name).tolist()
        for name in ("step", "train_loss", "val_loss", "val_error", *curve.further)
    }
    rows = (zip(columns, row, strict=True) for row in zip(*columns.values(), strict=True))
    return FinishedRun(
        name=name or f"B{result.batch_size}-{point.role}-{point.trial}",
        config={
            "workload": resolved.workload,
            "optimizer": resolved.optimizer,
            "target": resolved.target,
            "batch_size": result.batch_size,
            "role": str(point.role),
            "trial": point.trial,
            "seed": str(point.seed),  # some trackers have no 64-bit integers
            **{n: value for n, value in source_columns(point.source).items() if value is not None},
            **point.values,
        },
        curve=[{name: value for name, value in row if math.isfinite(value)} for row in rows],
        outcome={
            **asdict(outcome),
            "status": str(outcome.status),
            **({} if (measured := test_error(result)) is None else {TEST_ERROR: measured}),
            "message": result.message or None,
        },
    )


def tracker_folder(folder: ResultsFolder) -> Path:
    """Return where trackers may write files: in the results, or here if these are in a store."""
    return folder.path_on_disk("") or Path(folder.name)


def _summary(folder: ResultsFolder, to: Path) -> tuple[Mapping[str, float], list[str]]:
    """Return the numbers of an analysis, and its figures as PNG files."""
    from analysis.figures import FIGURES
    from analysis.figures.drawing.kind import look_of, write_all
    from analysis.report.summary import analyze
    from analysis.tables.study import read_study

    try:
        analysis = analyze(read_study(folder))
        names = write_all(FIGURES, analysis, ResultsFolder.at(to), look_of("png", None, None, True))
    except AnalysisError:  # no trial reached the target, or the tables could not be written
        return {}, []
    return summary_numbers(analysis), [str(to / name) for name in names if name.endswith(".png")]


def summary_numbers(analysis: "Analysis") -> dict[str, float]:
    """Return steps to target by batch size, and b_crit if the data bound it on both sides."""
    reached = analysis.reached
    steps = zip(reached["batch_size"], reached["steps"], strict=True)
    numbers = {f"steps/B{size}": float(count) for size, count in steps}
    if analysis.b_crit is not None and analysis.b_crit.estimate.identified:
        numbers["b_crit"] = analysis.b_crit.estimate.value
    return numbers
