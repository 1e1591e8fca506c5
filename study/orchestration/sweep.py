"""A sweep: trains the missing cohorts of a study, then writes its tables.

Forked workers and workers under Ray get the same cohorts and write the same parts. Ray is imported
only if it runs, because importing and starting it takes longer than a small study.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.errors import AnalysisError
from analysis.tables.folder import ResultsFolder
from study.config.study import ResolvedStudy
from study.config.until import Grant
from study.engine.checkpoints import CHECKPOINTS
from study.engine.fingerprint import fingerprint
from study.engine.networks.training import LoadedWorkload, Trainable
from study.errors import StudyError
from study.orchestration.dispatch import Dispatch
from study.orchestration.display import Display
from study.orchestration.forked import ForkedWorkers
from study.orchestration.progress import Progress, seconds_left
from study.orchestration.resources import Resources
from study.orchestration.signals import Stop
from study.orchestration.worker import Worker
from study.records import Lap
from study.search.journal import Journal
from study.search.queue import CohortQueue
from study.storage.consolidate import Ended, consolidate, ended_by_tables, study_tables
from study.storage.parts import Parts
from study.storage.provenance import (
    changed_files,
    changed_workload,
    record_end,
    record_start,
    recorded_sweeps,
)
from study.storage.study_folder import open_folder
from workloads.command import Command
from workloads.splits import remarks

if TYPE_CHECKING:
    from study.search.until import Grants

JOURNAL_FILE = "optuna.log"
SECONDS_WITHOUT_RAY = 60.0
"""Ray takes over from forked workers after this time, if the sweep needs as much again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepEnd:
    """How a sweep ended."""

    trials: list[Ended]  # all that are recorded; empty if the parts could not be read
    errors: list[str]  # sentences on lost cohorts, and on why the sweep stopped
    notes: list[str]  # sentences on anything else, such as checkpoints
    seconds: float  # wall-clock time of this sweep


class Sweep:
    """The remaining work of a study, ready to run."""

    def __init__(
        self, folder: ResultsFolder, resolved: ResolvedStudy, trainable: Trainable
    ) -> None:
        """Rebuild the searches from the parts of earlier sweeps; write nothing."""
        self._folder, self._resolved, self._trainable = folder, resolved, trainable
        recorded_sweeps(folder)  # refuses a damaged record before anything is added to it
        self._parts = Parts(folder, resolved)
        self.progress = Progress(resolved)  # counts the trials as they are recorded
        self._queue = CohortQueue(resolved, self.progress.counting(self._parts))
        self._notes: list[str] = []
        self._remarks: list[str] = []
        self._workload = self._unchanged()
        self._laps: Callable[[], Sequence[Lap]] = tuple
        # asks again each time, because queue and laps are replaced when Ray takes over
        self.display = Display(self.progress, lambda: self._queue.standings(), lambda: self._laps())

    def run(self, resources: Resources, stop: Stop) -> SweepEnd:
        """Train every missing cohort and write the tables, even if a stop ends it early."""
        started, grants = time.monotonic(), self._next_grants()
        missing = bool(grants and grants.granted) or not self._queue.empty
        if missing:
            used = {"workers": resources.workers, "gpus_per_worker": resources.gpus_per_worker}
            record_start(self._folder, used, self._admission())
        dispatch = self._run_missing(resources, stop)
        while not (dispatch.errors or stop.requested):
            grants = self._next_grants()
            if grants is None or not grants.granted:
                break
            self._grow(grants.granted)
            notes, dispatch = dispatch.notes, self._run_missing(resources, stop)
            dispatch.notes[:0] = notes
        done = not (dispatch.errors or stop.requested)
        errors = self._unusable_base() if done else []
        trials: list[Ended] = []
        try:
            if dispatch.in_place():
                whole = None if missing else ended_by_tables(self._folder, self.progress.recorded)
                trials = consolidate(self._parts) if whole is None else whole
                if missing:
                    record_end(self._folder)
                if self._queue.empty and done:
                    # left by cohorts that were lost, or that the study no longer has
                    self._folder.remove_all(CHECKPOINTS)
        except AnalysisError as error:  # the parts are whole; the next sweep writes the tables
            errors.append(f"the tables could not be written: {error}")
        why = [] if grants is None else [grants.why]
        return SweepEnd(
            trials=trials,
            errors=[*dispatch.errors, *errors],
            notes=[*self._remarks, *self._notes, *dispatch.notes, *why],
            seconds=time.monotonic() - started,
        )

    def _unchanged(self) -> dict[str, Any]:
        """Return the workload's fingerprint; refuse one that changed since earlier trials."""
        begun = self.progress.recorded or self._folder.names(CHECKPOINTS)
        if isinstance(self._trainable, Command) and begun:
            changed = changed_files(self._folder, self._trainable.record()["files"])
            self._notes += [f"{phrase} since earlier trials were recorded" for phrase in changed]
        if not isinstance(self._trainable, LoadedWorkload):
            return {}
        self._remarks = remarks(self._trainable.data)
        current = fingerprint(self._trainable)
        changes = changed_workload(self._folder, current) if begun else []
        if changes:
            raise StudyError(
                f"the workload must not have changed since the trials in {self._folder} were "
                f"trained, got {'; '.join(changes)}; undo the change to its code or data, or "
                "choose another --results"
            )
        return current

    def _next_grants(self) -> "Grants | None":
        """Return what `until` grants a study that lacks nothing; None if it does not apply."""
        if self._resolved.until is None or not self._queue.empty:
            return None
        from analysis.report.summary import analyze
        from study.search.until import Grants, Spent, next_grants

        tables = study_tables(self._folder)
        try:
            analysis = analyze(tables)
        except AnalysisError as error:
            return Grants(why=f"until: {error}")
        return next_grants(self._resolved, analysis, Spent.of(self._parts))

    def _grow(self, granted: tuple[Grant, ...]) -> None:
        """Record what was granted, so that a stopped sweep resumes with the same grants."""
        self._resolved = open_folder(self._folder, self._resolved.with_grants(granted))
        self._parts = Parts(self._folder, self._resolved)
        self._queue = CohortQueue(self._resolved, self._parts)
        self.progress.grow(self._resolved)

    def _run_missing(self, resources: Resources, stop: Stop) -> Dispatch:
        with self._folder.workspace(keep=[JOURNAL_FILE]) as work:
            journal = self._journal(work / JOURNAL_FILE)
            dispatch = Dispatch(self._parts, self._queue, journal, self.progress)
            if self._queue.empty or stop.requested:
                return dispatch
            worker = Worker(folder=self._folder, resolved=self._resolved, trainable=self._trainable)
            forked = not resources.ray and resources.needs_ray(self._folder) is None
            if not forked or self._run_forked(dispatch, worker, resources, stop):
                from study.orchestration.tuner import RayWorkers

                workers = RayWorkers(dispatch, worker, resources, stop)
                self._laps = workers.laps
                workers.run(work)
        return dispatch

    def _run_forked(
        self, dispatch: Dispatch, worker: Worker, resources: Resources, stop: Stop
    ) -> bool:
        """Train in forked workers; return whether cohorts are left for Ray."""
        ray_due = self._ray_due(dispatch, resources)
        workers = ForkedWorkers(dispatch, worker, resources.workers, stop)
        self._laps = workers.laps
        left = workers.run(ray_due)
        if left:  # the old queue is closed: it would not hand out cohorts that were saved
            self._queue = dispatch.queue = CohortQueue(self._resolved, self._parts)
        return left and not self._queue.empty

    def _ray_due(self, dispatch: Dispatch, resources: Resources) -> Callable[[], bool]:
        """Return the function that says whether Ray is to take over now."""
        started, before = time.monotonic(), self.progress.share_done
        decided = resources.ray is False

        def due() -> bool:
            nonlocal decided
            elapsed = time.monotonic() - started
            if decided or elapsed < SECONDS_WITHOUT_RAY:
                return False
            decided = True  # only once, because cohorts without checkpoints start again
            left = seconds_left(elapsed, before, self.progress.share_done)
            if dispatch.errors or left < SECONDS_WITHOUT_RAY:
                return False
            from study.orchestration.machine import Machine, check_machine

            try:
                check_machine(Machine.here(resources.workers))
            except StudyError as error:
                dispatch.notes.append(f"the sweep continued without Ray: {error}")
                return False
            return True

        return due

    def _admission(self) -> dict[str, Any]:
        """Return how lanes are trained and why, and what the workload was observed to do."""
        mode = self._resolved.compute.mode
        if isinstance(self._trainable, Command):
            return {"mode": mode, **self._trainable.record()}
        if not isinstance(self._trainable, LoadedWorkload):
            return {"mode": mode}
        seen = [*self._trainable.observed.words(), *self._remarks]
        why = self._trainable.looped_because
        return {"mode": mode, "reason": why, "observed": seen, "workload": self._workload}

    def _unusable_base(self) -> list[str]:
        recipe = self._resolved.recipe
        if recipe is None or not self._queue.without_base:
            return []
        return [
            f"no trial reached the target at batch size {recipe.base}, so the {recipe.rule} "
            "scaling rule has no point to start from and was not run; loosen race.target, or raise "
            "race.max_steps or search.trials, in a new results folder"
        ]

    def _journal(self, path: Path) -> Journal:
        try:
            journal, searches = Journal(path, self.progress.searched), self._queue.searches()
            for size, results in () if journal.whole else self._parts.by_size():
                journal.add(searches[size], results)
        except OSError as error:
            raise AnalysisError(self._folder.unwritable(error)) from error
        return journal
