"""The winners of a study of a program, run again and compared with what was recorded."""

from collections.abc import Iterator, Sequence

import numpy as np

from study.config.study import ResolvedStudy
from study.engine.cohort import run_cohort
from study.records import Cohort, Curve, TrialResult
from study.replay.recorded import winners
from study.replay.trial import same_curve
from study.replay.verification import Clause
from workloads.command.program import Command


def rerun_winners(
    resolved: ResolvedStudy,
    command: Command,
    recorded: Sequence[TrialResult],
    environment: Sequence[str],
) -> Iterator[Clause]:
    """Run the program of every winner again, up to the cap that its steps set for others.

    A program need not repeat its measurements bit for bit, so steps that differ are told and not
    counted as broken; a target that is missed is.

    Args:
        resolved: the study.
        command: its program.
        recorded: its trials with their final outcomes.
        environment: how this environment differs from the recorded one, one phrase each.

    Yields:
        One clause per winner: whether it reaches the target again, and at which step.
    """
    known = "; ".join(environment) or "none known"
    for winner in winners(resolved, recorded):
        steps = winner.outcome.steps
        cohort = Cohort(batch_size=winner.batch_size, points=(winner.point,), best_steps=steps)
        (again,) = run_cohort(resolved, command, cohort)
        name = f"winner at batch size {winner.batch_size}"
        who = f"{winner.point.role} trial {winner.point.trial}"
        target, found = f"below {resolved.target:g}", again.outcome.steps
        if found == steps:
            how = _agreement(again.curve, winner.curve)
            yield Clause(name, True, f"{who} is {target} at step {steps}, as recorded; {how}")
        elif found is not None:
            yield Clause(
                name,
                None,
                f"{who} is {target} at step {found}, recorded at {steps}: the program does not "
                f"repeat its measurements here; differences of environment: {known}",
            )
        else:
            why = again.message or f"it ended {again.outcome.status} at {again.outcome.stopped_at}"
            yield Clause(
                name,
                False,
                f"{who} must be {target} at about step {steps}, as recorded; run again, {why}; "
                f"differences of environment: {known}",
            )


def _agreement(curve: Curve, recorded: Curve) -> str:
    if same_curve(curve, recorded):
        return "its measurements agree in every bit"
    if not np.array_equal(curve.step, recorded.step):
        return "it was measured at other steps before"
    gap = float(np.max(np.abs(curve.val_error - recorded.val_error)))
    return f"its measurements differ by {gap:.1g} at most"
