"""The winners of a study, trained again and compared with what was recorded."""

from collections.abc import Iterator, Sequence

import numpy as np

from analysis.tables.folder import ResultsFolder
from batchscale.errors import BatchscaleError
from study.config.study import ResolvedStudy
from study.engine.fingerprint import fingerprint
from study.engine.networks.training import LoadedWorkload, Trainable
from study.records import Curve, TrialResult
from study.replay.programs import rerun_winners
from study.replay.recorded import load_as_recorded, recorded_trials, winners
from study.replay.trial import Replay, same_curve
from study.replay.verification import Clause
from study.storage.provenance import changed_files, changed_workload, differences
from study.storage.study_folder import read_study_toml
from workloads.command.program import Command


def check_winners(folder: ResultsFolder) -> Iterator[Clause]:
    """Train the winner of every batch size again; write nothing.

    A study of GPUs is replayed on the CPU where there is no GPU.

    Yields:
        One clause per batch size: whether the target is reached at the recorded step.
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
    """Train every winner again, up to the step at which it reached the target.

    Args:
        resolved: the study.
        trainable: the loaded workload.
        recorded: its trials with their final outcomes, sorted by batch size, role and number.
        environment: how this environment differs from the recorded one, one phrase each.

    Yields:
        One clause per winner: whether it reaches the target at the recorded step and no earlier.
    """
    if isinstance(trainable, Command):
        yield from rerun_winners(resolved, trainable, recorded, environment)
        return
    for winner in winners(resolved, recorded):
        steps = winner.outcome.steps
        assert steps is not None  # it reached the target
        replay = Replay(resolved, trainable, winner, recorded)
        for _ in replay.measurements(steps):
            pass
        curve = replay.curve()
        below = curve.step[1:][curve.val_error[1:] < resolved.target]
        found = int(below[0]) if below.size else None
        who = f"{winner.point.role} trial {winner.point.trial}"
        name = f"winner at batch size {winner.batch_size}"
        if found == steps:
            same = f"{who} is below {resolved.target:g} at step {steps}, as recorded; "
            yield Clause(name, True, same + _curve_agreement(curve, winner.curve, environment))
        else:
            yield Clause(
                name, False, f"{who} {_mismatch(resolved, winner, curve, found, environment)}"
            )


def _curve_agreement(curve: Curve, recorded: Curve, environment: Sequence[str]) -> str:
    recorded = recorded.until(len(curve.step))
    if same_curve(curve, recorded):
        return "its curve agrees in every bit"
    return f"losses differ by {_largest(curve, recorded):.1g} at most; {_differences(environment)}"


def _largest(one: Curve, other: Curve) -> float:
    """Return the largest relative difference of the validation losses that both curves have."""
    rows = min(len(one.step), len(other.step))
    return float(np.max(np.abs(one.val_loss[:rows] / other.val_loss[:rows] - 1)))


def _mismatch(
    resolved: ResolvedStudy,
    winner: TrialResult,
    curve: Curve,
    found: int | None,
    environment: Sequence[str],
) -> str:
    steps = winner.outcome.steps
    at = int(np.searchsorted(winner.curve.step, curve.step[-1]))
    recorded = winner.curve.val_error[min(at, len(winner.curve.val_error) - 1)]
    now = "reached it by" if found is not None else "had not reached it by"
    return (
        f"must first be below {resolved.target:g} at step {steps}, as recorded; trained again, it "
        f"{now} step {int(curve.step[-1])}: error {curve.val_error[-1]:.6g} where "
        f"{recorded:.6g} is recorded, losses differ by {_largest(curve, winner.curve):.1g}; "
        f"{_differences(environment)}"
    )


def _differences(environment: Sequence[str]) -> str:
    known = "; ".join(environment) or "none known, so check the data and the workload"
    return f"differences of environment: {known}"
