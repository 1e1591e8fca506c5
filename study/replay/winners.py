"""The winners of a study, trained again and compared with what was recorded."""

from collections.abc import Iterator, Sequence

import numpy as np

from analysis.tables.folder import ResultsFolder
from batchscale.errors import BatchscaleError
from study.config.study import ResolvedStudy
from study.engine.cohort import run_cohort
from study.engine.fingerprint import fingerprint
from study.engine.networks.training import LoadedWorkload, Lockstep, Trainable
from study.records import Cohort, Curve, Floats, TrialResult
from study.replay.recorded import load_as_recorded, recorded_trials, winners
from study.replay.trial import Replay, same_curve
from study.storage.provenance import changed_files, changed_workload, differences
from study.storage.study_folder import read_study_toml
from workloads.command import Command
from workloads.testing import Clause


def check_winners(folder: ResultsFolder) -> Iterator[Clause]:
    """Yield whether each winner, trained again, reaches the target at the recorded step.

    Nothing is written. A study that ran on GPUs is replayed on the CPU if there is no GPU.
    """
    try:
        resolved = read_study_toml(folder)
        recorded, environment = recorded_trials(folder, resolved), differences(folder)
    except BatchscaleError:
        yield Clause(
            "winners", None, "not trained again: the folder lacks a complete record of its trials"
        )
        return
    if not winners(resolved, recorded):
        yield Clause("winners", None, "no batch size reached the target")
        return
    trainable = load_as_recorded(folder, resolved)
    if isinstance(trainable, Command):
        environment += changed_files(folder, trainable.record()["files"])
    elif isinstance(trainable, LoadedWorkload):
        environment += changed_workload(folder, fingerprint(trainable))
    yield from replay_winners(resolved, trainable, recorded, environment)


def replay_winners(
    resolved: ResolvedStudy,
    trainable: Trainable,
    recorded: Sequence[TrialResult],
    environment: Sequence[str],
) -> Iterator[Clause]:
    """Yield for every winner whether it reaches the target again, and at which step.

    A program runs up to the cap that its recorded steps set for other trials. It need not repeat
    its measurements exactly: the check fails if it misses the target, but not if it reaches it at
    another step. `environment` lists how this environment differs from the recorded one.
    """
    for winner in winners(resolved, recorded):
        if isinstance(trainable, Command):
            passed, what = _run_again(resolved, trainable, winner, environment)
        else:
            passed, what = _train_again(resolved, trainable, winner, recorded, environment)
        who = f"{winner.point.role} trial {winner.point.trial}"
        yield Clause(f"winner at batch size {winner.batch_size}", passed, f"{who} {what}")


def _run_again(
    resolved: ResolvedStudy, command: Command, winner: TrialResult, environment: Sequence[str]
) -> tuple[bool | None, str]:
    """Return whether a program reaches the target at the recorded step, and a report."""
    steps, target = winner.outcome.steps, f"below {resolved.target:g}"
    cohort = Cohort(batch_size=winner.batch_size, points=(winner.point,), best_steps=steps)
    (again,) = run_cohort(resolved, command, cohort)
    known = f"differences of environment: {'; '.join(environment) or 'none known'}"
    if again.outcome.steps == steps:
        how = _program_agreement(again.curve, winner.curve)
        return True, f"is {target} at step {steps}, as recorded; {how}"
    if again.outcome.steps is not None:
        return None, (
            f"is {target} at step {again.outcome.steps}, recorded at {steps}: the program does not "
            f"repeat its measurements here; {known}"
        )
    why = again.message or f"it ended {again.outcome.status} at {again.outcome.stopped_at}"
    return False, (
        f"must be {target} at about step {steps}, as recorded; run again, {why}; {known}"
    )


def _program_agreement(curve: Curve, recorded: Curve) -> str:
    if same_curve(curve, recorded):
        return "its measurements agree in every bit"
    if not np.array_equal(curve.step, recorded.step):
        return "it was measured at other steps before"
    return f"its measurements differ by {_gap(curve.val_error, recorded.val_error):.1g} at most"


def _gap(values: Floats, recorded: Floats) -> float:
    """Return the largest difference of two curves, over the measurements that both have."""
    rows = min(len(values), len(recorded))
    return float(np.max(np.abs(values[:rows] - recorded[:rows])))


def _train_again(
    resolved: ResolvedStudy,
    trainable: Lockstep,
    winner: TrialResult,
    recorded: Sequence[TrialResult],
    environment: Sequence[str],
) -> tuple[bool, str]:
    """Return whether a winner first reaches the target at the recorded step, and a report."""
    steps = winner.outcome.steps
    assert steps is not None  # it reached the target
    replay = Replay(resolved, trainable, winner, recorded)
    for _ in replay.measurements(steps):
        pass
    curve, before = replay.curve(), winner.curve
    below = curve.step[1:][curve.val_error[1:] < resolved.target]
    changes = "; ".join(environment) or "none known, so check the data and the workload"
    known = f"differences of environment: {changes}"
    apart = _gap(curve.val_loss, before.val_loss)
    if below.size and below[0] == steps:
        same = f"is below {resolved.target:g} at step {steps}, as recorded; "
        if same_curve(curve, before.until(len(curve.step))):
            return True, same + "its curve agrees in every bit"
        return True, f"{same}losses differ by {apart:.1g} at most; {known}"
    at = min(int(np.searchsorted(before.step, curve.step[-1])), len(before.step) - 1)
    now = "reached it by" if below.size else "had not reached it by"
    return False, (
        f"must first be below {resolved.target:g} at step {steps}, as recorded; trained again, it "
        f"{now} step {int(curve.step[-1])}: error {curve.val_error[-1]:.6g} where "
        f"{before.val_error[at]:.6g} is recorded, losses differ by {apart:.1g}; {known}"
    )
