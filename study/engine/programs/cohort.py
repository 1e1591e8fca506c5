"""A cohort of programs: as many at once as a worker may run, each stopped at the known cap."""

import hashlib
import json
import math
import tempfile
import time
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

from study.config.study import ResolvedStudy
from study.engine.checkpoints import Checkpoint, SavedError
from study.engine.outcomes import judge, trial_result
from study.engine.programs.pruning import Pruning
from study.engine.programs.trial import ProgramTrial
from study.engine.race import Race
from study.engine.stopping_rules import StoppingRules
from study.records import Cohort, Execution, Point, TrialResult
from workloads.command import PROGRAM, Command

OUTPUT = "output"
"""Folder in the results with what each program printed."""
STOPPING_SECONDS = 7.0
"""Time that programs have to save their state when the sweep is asked to stop."""
_TICK = 0.02


def run_programs(
    resolved: ResolvedStudy, command: Command, cohort: Cohort, checkpoint: Checkpoint | None
) -> list[TrialResult]:
    """Return the results of a cohort of programs, one per trial in order.

    A trial is stopped once nothing it could still report matters. The results are judged by the
    fewest steps of all trials, and by the rungs that all of them passed, so they do not depend on
    which trial ran first. The checkpoint keeps the trials' folders until the cohort has ended.

    Raises:
        SavedError: a stop was requested, and the programs were stopped.
    """  # noqa: DOC502  (raised inside)
    if checkpoint is None:
        with tempfile.TemporaryDirectory(prefix="batchscale-") as place:
            return _Programs(resolved, command, cohort, Path(place), None).run()
    return _Programs(resolved, command, cohort, checkpoint.place, checkpoint).run()


class _Programs:
    """The trials of a cohort, as programs that run or wait to run."""

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
        self._rules = StoppingRules.for_cohort(resolved, cohort)
        self._slots = resolved.pack_at(cohort.batch_size)
        self._folders = [place / _folder(resolved, cohort, point) for point in cohort.points]
        self._trials = [ProgramTrial(command, folder, self._rules) for folder in self._folders]
        rungs = self._folders[0].with_suffix(".rungs.json")
        self._pruning = Pruning(self._rules, len(self._trials), rungs)
        self._running: dict[int, int] = {}  # the trial of every slot in use
        for index in range(len(self._trials)):
            self._lower_cap(index)

    def run(self) -> list[TrialResult]:
        """Run every trial to its end; return the results."""
        try:
            while self._running or self._unended():
                if self._checkpoint is not None and self._checkpoint.stopping():
                    self._stop_all()
                self._start_waiting()
                self._poll()
                Race.after_lap(self)
                self._judge_rungs()
        finally:
            for trial in self._running_trials():
                trial.close()
        return [self._result(index) for index in range(len(self._trials))]

    @property
    def racing(self) -> int:
        """One: `step` is the sum over all trials, which do not train in lockstep."""
        return 1

    @property
    def step(self) -> int:
        """Steps taken by all trials."""
        return sum(max(0, trial.step) for trial in self._trials)

    @property
    def share(self) -> float:
        """Mean over the trials of the share that is over, from 0 to 1."""
        shares = [1.0] * len(self._trials)
        for index in self._unended():
            trial = self._trials[index]
            first, last = (row[3] for row in trial.first_and_last or [[math.nan] * 4] * 2)
            shares[index] = self._rules.share_over(max(0, trial.step), first, last)
        return fmean(shares)

    @property
    def least_loss(self) -> float:
        """Lowest of the trials' latest validation losses; NaN if none reports any."""
        losses = (row[2] for trial in self._trials for row in trial.first_and_last[1:])
        return min((loss for loss in losses if math.isfinite(loss)), default=math.nan)

    def _unended(self) -> list[int]:
        """Return the trials that have not ended, the best at the last rung first."""
        dropped = self._pruning.dropped
        return [k for k in self._pruning.order if k not in dropped and self._trials[k].end is None]

    def _running_trials(self) -> list[ProgramTrial]:
        return [self._trials[index] for index in self._running.values()]

    def _waiting(self) -> list[int]:
        """Return the trials that may run but do not; those past the next rung wait for others."""
        level, busy = self._pruning.level, set(self._running.values())
        return [k for k in self._unended() if k not in busy and self._trials[k].step < level]

    def _start_waiting(self) -> None:
        """Start programs in the free slots."""
        for index in self._waiting():
            trial = self._trials[index]
            if trial.is_decided(self._rules):
                trial.conclude()
            elif len(self._running) < self._slots:
                slot = min(set(range(self._slots)) - self._running.keys())
                trial.start(self._resolved, self._cohort, index, slot)
                self._running[slot] = index

    def _poll(self) -> None:
        """Read what the programs report, and stop those that need not or may not continue."""
        changed = poll(self._running_trials())
        for slot, index in list(self._running.items()):
            if self._trials[index] in changed:
                self._lower_cap(index)
            if self._trials[index].process is None:
                del self._running[slot]
                self._after_exit(index)
        others_wait = bool(self._waiting())
        for index in self._running.values():
            trial = self._trials[index]
            waits = others_wait and trial.step >= self._pruning.level
            if trial.end is None and trial.is_decided(self._rules):
                trial.conclude()
            elif waits or index in self._pruning.dropped:
                trial.stop()

    def _after_exit(self, index: int) -> None:
        """Keep what a program printed; its trial may run again unless it has ended."""
        trial, point = self._trials[index], self._cohort.points[index]
        size, checkpoint = self._cohort.batch_size, self._checkpoint
        if checkpoint is not None:
            name = f"{OUTPUT}/b{size:05d}-{point.role}-{point.trial:03d}.log"
            checkpoint.write_beside(name, trial.output.kept())
        why = trial.allow_restart()
        if why and checkpoint is not None:
            which = f"trial {point.trial} of batch size {size}"
            checkpoint.notes.append(f"{which} was started again: {why}")
        if why or trial.end is None:  # it resumes from what it reported while it ended
            self._trials[index] = ProgramTrial(self._command, self._folders[index], self._rules)
            self._lower_cap(index)

    def _lower_cap(self, index: int) -> None:
        """Lower the cap if a trial has reached the target, and no rung may drop it."""
        if self._trials[index].step >= 0 and index not in self._pruning.dropped:
            steps = judge(self._trials[index].run(), self._rules)[1].steps
            if steps is not None and self._pruning.is_settled(steps):
                self._rules = self._rules.after_reaching(steps)

    def _judge_rungs(self) -> None:
        """Judge the rungs that every trial has passed."""
        while math.isfinite(self._pruning.level) and all(
            self._trials[index].step >= self._pruning.level for index in self._unended()
        ):
            self._pruning.judge([trial.run() for trial in self._trials], self._rules)
            for index in range(len(self._trials)):
                self._lower_cap(index)

    def _stop_all(self) -> None:
        """Stop the programs, with time to save their state, and raise `SavedError`."""
        deadline, running = time.monotonic() + STOPPING_SECONDS, self._running_trials()
        for trial in running:
            trial.stop(grace=STOPPING_SECONDS)
        while any(trial.process for trial in running) and time.monotonic() < deadline + 1:
            poll(running)
        raise SavedError

    def _result(self, index: int) -> TrialResult:
        trial = self._trials[index]
        # one that failed past the cap would have been stopped there, had the cap been known
        too_late = index in self._pruning.dropped or trial.is_decided(self._rules)
        if trial.end and trial.end.message and not too_late:
            return trial_result(self._cohort, index, message=trial.end.message)
        run = self._pruning.cut(index, trial.run())
        execution = Execution(PROGRAM, self._slots, self._resolved.micro_batch)
        return trial_result(self._cohort, index, judge(run, self._rules), execution)


def poll(trials: Collection[ProgramTrial]) -> list[ProgramTrial]:
    """Wait a moment for programs to report; return the trials with anything new."""
    time.sleep(_TICK)
    return [trial for trial in trials if trial.poll()]


def _folder(resolved: ResolvedStudy, cohort: Cohort, point: Point) -> str:
    """Return the name of a trial's folder, unique to it among the trials of all studies."""
    identity = json.dumps([resolved.digest(), cohort.batch_size, asdict(point)], sort_keys=True)
    return f"trial-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
