"""A brief run of a program outside a sweep, for `plan` and `check`."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from study.config.study import ResolvedStudy
from study.engine.programs.cohort import poll
from study.engine.programs.trial import ProgramTrial
from study.engine.stopping_rules import StoppingRules
from study.errors import StudyError
from study.records import Cohort, Curve
from study.search.queue import CohortQueue
from workloads.command import Command
from workloads.testing import Clause

LONGEST_SECONDS = 600.0
"""Time within which a program must report two measurements."""
_CHECK_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialRun:
    """The findings of a brief run of a program."""

    curve: Curve  # its measurements; empty if it failed
    message: str  # why it failed; empty if it did not
    memory: int  # peak bytes of its processes; 0 if unknown
    ended_softly: bool  # it ended by itself, before or when asked to
    diverged_at: int | None = None  # step of a measurement that was not finite

    @property
    def step_seconds(self) -> float:
        """Seconds per step, measurements included."""
        steps, seconds = self.curve.step, self.curve.seconds
        if len(steps) == 1:
            return float(seconds[0]) / max(1, int(steps[0]))
        return float((seconds[-1] - seconds[0]) / (steps[-1] - steps[0]))

    @property
    def start_seconds(self) -> float:
        """Seconds before the first step."""
        first = float(self.curve.seconds[0]) - int(self.curve.step[0]) * self.step_seconds
        return max(0.0, first)


def first_cohort(resolved: ResolvedStudy, batch_size: int) -> Cohort:
    """Return the first cohort of a sweep at a batch size."""
    # trials of a recipe's scaling rule cost the same as search trials
    search = resolved.search.model_copy(update={"trials": resolved.trials_at(batch_size)})
    alone = {"batch_sizes": (batch_size,), "search": search, "recipe": None}
    cohort = CohortQueue(resolved.model_copy(update=alone), []).take()
    assert cohort is not None  # a study has at least one trial at each of its batch sizes
    return cohort


def trial_run(
    resolved: ResolvedStudy, command: Command, cohort: Cohort, seconds: float
) -> TrialRun:
    """Return the findings of a run of a cohort's first trial.

    It lasts for two reports and some more seconds > 0, or to the target or its budget.
    """
    rules = StoppingRules.for_search(resolved, cohort.batch_size, None)
    with tempfile.TemporaryDirectory(prefix="batchscale-") as place:
        trial = ProgramTrial(command, Path(place), rules)
        trial.start(resolved, cohort, 0, 0)
        begun, memory = time.monotonic(), 0
        try:
            while trial.process is not None:
                if poll([trial]) and trial.process is not None:
                    memory = max(memory, trial.process.memory())
                curve, now = trial.run().curve, time.monotonic()
                complete = len(curve.step) > 1 and now - begun > curve.seconds[0] + seconds
                if complete or trial.is_decided(rules) or now - begun > LONGEST_SECONDS:
                    trial.conclude()
        finally:
            trial.close()
        message = trial.end.message if trial.end else ""
        run = trial.run()
        curve, diverged_at = run.curve, run.diverged_at
    if not message and not len(curve.step):
        message = (
            f"the program must report within {LONGEST_SECONDS:g} seconds, got no measurement"
            if diverged_at is None
            else "a program must be finite at its first measurement, got NaN or infinity at step "
            f"{diverged_at}; measure it before training, at step 0, or narrow the ranges"
        )
    return TrialRun(
        curve=curve,
        message=message,
        memory=memory,
        ended_softly=not trial.killed,
        diverged_at=diverged_at,
    )


def require_measured(run: TrialRun) -> None:
    """Refuse a program that failed."""
    if run.message:
        raise StudyError(f"the program must run: {run.message}")


def check_program(resolved: ResolvedStudy, command: Command) -> Iterator[Clause]:
    """Yield a clause for each property that a sweep relies on, from two brief runs of a trial."""
    size, key = resolved.batch_sizes[0], command.measured
    cohort = first_cohort(resolved, size)
    run = trial_run(resolved, command, cohort, _CHECK_SECONDS)
    if run.message:
        yield Clause(name="reports measurements", passed=False, detail=run.message)
        return
    steps, errors = run.curve.step, run.curve.val_error
    detail = (
        f"{len(steps)} at batch size {size}, {key} {errors[0]:.4g} at step {steps[0]} to "
        f"{errors[-1]:.4g} at step {steps[-1]}; {1e3 * run.step_seconds:.3g} ms a step after "
        f"{run.start_seconds:.1f} s"
    )
    if run.diverged_at is not None:
        detail += f"; it diverged at step {run.diverged_at}"
    yield Clause(name="reports measurements", passed=True, detail=detail)
    above = bool(errors[0] >= resolved.target)
    detail = f"{errors[0]:.4g} at step {steps[0]}, target {resolved.target:g}"
    yield Clause(name="target is below the start", passed=above, detail=detail)
    grace = f"{command.options.grace_seconds:g} s"
    asked = "ends itself" if run.ended_softly else f"had to be killed after {grace}; handle SIGTERM"
    yield Clause(name="ends when asked", passed=run.ended_softly, detail=asked)
    again = trial_run(resolved, command, cohort, _CHECK_SECONDS)
    same = min(len(again.curve.step), len(steps))
    equal = again.curve.until(same).val_error.tolist() == errors[:same].tolist()
    detail = (
        f"{same} measurements agree in every bit" if equal else "differs: tables of two sweeps will"
    )
    yield Clause(name="two runs of one seed", passed=not again.message, detail=detail)
