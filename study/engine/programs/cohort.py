"""A cohort of programs: as many at once as a worker's share allows, each held to the cap known."""

import hashlib
import json
import tempfile
import time
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path

from study.config.study import ResolvedStudy
from study.engine.checkpoints import Checkpoint, SavedError
from study.engine.outcomes import LOST, judge
from study.engine.programs.environment import environment, placeholder_values
from study.engine.programs.trial import CHECKPOINT, ProgramTrial
from study.engine.stopping_rules import StoppingRules
from study.records import Cohort, Execution, Point, TrialResult
from workloads.command.program import PROGRAM, Command

OUTPUT = "output"
"""Folder of the results with what each program printed."""
STOPPING_SECONDS = 7.0
"""Time that programs have to save themselves where the sweep was asked to stop."""
_TICK = 0.02


def run_programs(
    resolved: ResolvedStudy, command: Command, cohort: Cohort, checkpoint: Checkpoint | None
) -> list[TrialResult]:
    """Run a cohort of programs.

    A trial is ended where nothing that it may still report can matter. The results are judged by
    the fewest steps of all trials, so they do not depend on which of them ran first.

    Args:
        resolved: the study.
        command: its program.
        cohort: the trials.
        checkpoint: keeps the trials' folders until the cohort has ended, and says when to stop;
            None for neither.

    Returns:
        One result per trial, in order.

    Raises:
        SavedError: the checkpoint was asked to stop, and the programs were ended.
    """  # noqa: DOC502  (raised inside)
    if checkpoint is None:
        with tempfile.TemporaryDirectory(prefix="batchscale-") as place:
            return _Programs(resolved, command, cohort, Path(place), None).run()
    return _Programs(resolved, command, cohort, checkpoint.place, checkpoint).run()


class _Programs:
    """The trials of a cohort, as programs that run or wait."""

    def __init__(
        self,
        resolved: ResolvedStudy,
        command: Command,
        cohort: Cohort,
        place: Path,
        checkpoint: Checkpoint | None,
    ) -> None:
        self._resolved, self._command, self._cohort = resolved, command, cohort
        self._checkpoint = checkpoint
        self._rules = StoppingRules.for_role(
            cohort.role, resolved, cohort.batch_size, cohort.best_steps
        )
        self._slots = resolved.pack_at(cohort.batch_size)
        self._folders = [place / _folder(resolved, cohort, point) for point in cohort.points]
        budget = self._rules.max_steps
        self._trials = [ProgramTrial(command, folder, budget) for folder in self._folders]

    def run(self) -> list[TrialResult]:
        """Run every trial to its end; return the results."""
        waiting = deque(enumerate(self._trials))
        running: dict[int, ProgramTrial] = {}
        try:
            while waiting or running:
                if self._checkpoint is not None and self._checkpoint.stopping():
                    self._end_all(running)
                self._fill(waiting, running)
                self._look(running)
        finally:
            for trial in running.values():
                trial.close()
        return [self._result(index) for index in range(len(self._trials))]

    def _fill(
        self, waiting: "deque[tuple[int, ProgramTrial]]", running: dict[int, ProgramTrial]
    ) -> None:
        """Start programs in the free slots."""
        while waiting and len(running) < self._slots:
            index, trial = waiting.popleft()
            self._note(trial)
            if trial.end is None and trial.past(self._rules):
                trial.conclude()
            if trial.end is not None:
                continue
            slot = min(set(range(self._slots)) - running.keys())
            values = placeholder_values(
                self._resolved, self._cohort, index, self._folders[index] / CHECKPOINT
            )
            trial.start(
                self._command.words(values),
                environment(self._command, self._cohort.points[index], values, slot),
            )
            running[slot] = trial

    def _look(self, running: dict[int, ProgramTrial]) -> None:
        """Take in what the programs report, and end those that are past."""
        changed = look_at(running.values())
        for slot, trial in list(running.items()):
            if trial in changed:
                self._note(trial)
            if trial.process is None:
                del running[slot]
                self._keep_output(trial)
        for trial in running.values():
            if trial.end is None and trial.past(self._rules):
                trial.conclude()

    def _note(self, trial: ProgramTrial) -> None:
        """Lower the cap if the trial has reached the target."""
        steps = judge(trial.run(), self._rules)[1].steps if trial.step >= 0 else None
        if steps is not None:
            self._rules = self._rules.after_reaching(steps)

    def _keep_output(self, trial: ProgramTrial) -> None:
        point = self._cohort.points[self._trials.index(trial)]
        name = f"{OUTPUT}/b{self._cohort.batch_size:05d}-{point.role}-{point.trial:03d}.log"
        if self._checkpoint is not None:
            self._checkpoint.write_beside(name, trial.output.kept())

    def _end_all(self, running: Mapping[int, ProgramTrial]) -> None:
        """End the programs, which may save themselves, and raise `SavedError`."""
        deadline = time.monotonic() + STOPPING_SECONDS
        for trial in running.values():
            trial.stop(grace=STOPPING_SECONDS)
        while any(t.process for t in running.values()) and time.monotonic() < deadline + 1:
            look_at(running.values())
        raise SavedError

    def _result(self, index: int) -> TrialResult:
        trial, cohort = self._trials[index], self._cohort
        # one that broke down past the cap would have been ended there, had the cap been known
        message = trial.end.message if trial.end and not trial.past(self._rules) else ""
        run, outcome = LOST if message else judge(trial.run(), self._rules)
        micro_batch = self._resolved.micro_batch
        return TrialResult(
            batch_size=cohort.batch_size,
            cohort=cohort.number,
            point=cohort.points[index],
            curve=run.curve,
            outcome=outcome,
            seconds=run.seconds,
            message=message,
            execution=None if message else Execution(PROGRAM, self._slots, micro_batch),
            region=cohort.region,
        )


def look_at(trials: Collection[ProgramTrial]) -> list[ProgramTrial]:
    """Wait a moment for programs to report; return the trials of which there is anything new."""
    time.sleep(_TICK)
    return [trial for trial in trials if trial.look()]


def _folder(resolved: ResolvedStudy, cohort: Cohort, point: Point) -> str:
    """Return the name of a trial's folder, which no other trial of any study has."""
    whose = json.dumps([resolved.digest(), cohort.batch_size, asdict(point)], sort_keys=True)
    return f"trial-{hashlib.sha256(whose.encode()).hexdigest()[:16]}"
