"""The winning trials of a study, trained again to see whether they do what was recorded."""

from collections.abc import Iterator, Sequence

import numpy as np

from analysis.errors import AnalysisError
from analysis.tables.folder import ResultsFolder
from study.config.study import ResolvedStudy
from study.engine.networks.training import Trainable
from study.errors import StudyError
from study.records import Curve, TrialResult
from study.replay.recorded import as_recorded, recorded_trials, winners
from study.replay.trial import Replay, same_curve
from study.replay.verification import Clause
from study.storage.provenance import differences
from study.storage.study_folder import read_study_toml


def check_winners(folder: ResultsFolder) -> Iterator[Clause]:
    """Trains the winner of every batch size again; writes nothing.

    It is done as it was, but on a CPU where the study ran on GPUs and there is none here.

    Args:
        folder: the results folder of one study.

    Yields:
        Whether each reaches the target at the recorded step.
    """
    try:
        resolved = read_study_toml(folder)
        recorded, environment = recorded_trials(folder, resolved), differences(folder)
    except (StudyError, AnalysisError):
        yield Clause("winners", None, "not trained again: the folder holds no whole record of how")
        return
    if not winners(resolved, recorded):
        yield Clause("winners", None, "no batch size reached the target")
        return
    yield from replay_winners(resolved, as_recorded(folder, resolved), recorded, environment)


def replay_winners(
    resolved: ResolvedStudy,
    trainable: Trainable,
    recorded: Sequence[TrialResult],
    environment: Sequence[str],
) -> Iterator[Clause]:
    """Trains every winner again, up to the step at which it reached the target.

    Args:
        resolved: the study.
        trainable: its workload, made ready.
        recorded: its trials, finally judged, sorted by batch size, role and trial.
        environment: what is different here from where they were recorded.

    Yields:
        Whether it reaches the target at the recorded step and no earlier, one clause for each.
    """
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
            says = f"{who} is below {resolved.target:g} at step {steps}, as recorded; "
            yield Clause(name, True, says + _likeness(curve, winner.curve, environment))
        else:
            yield Clause(name, False, f"{who} {_miss(resolved, winner, curve, found, environment)}")


def _likeness(curve: Curve, recorded: Curve, environment: Sequence[str]) -> str:
    recorded = recorded.until(len(curve.step))
    if same_curve(curve, recorded):
        return "its curve is the same in every bit"
    return f"losses off by {_largest(curve, recorded):.1g} at most; {_told(environment)}"


def _largest(one: Curve, other: Curve) -> float:
    """Gives the largest relative difference of the validation losses that both have."""
    rows = min(len(one.step), len(other.step))
    return float(np.max(np.abs(one.val_loss[:rows] / other.val_loss[:rows] - 1)))


def _miss(
    resolved: ResolvedStudy,
    winner: TrialResult,
    curve: Curve,
    found: int | None,
    environment: Sequence[str],
) -> str:
    steps = winner.outcome.steps
    at = int(np.searchsorted(winner.curve.step, curve.step[-1]))
    recorded = winner.curve.val_error[min(at, len(winner.curve.val_error) - 1)]
    now = "it was there at" if found is not None else "it was not there by"
    return (
        f"must be below {resolved.target:g} at step {steps} first, as recorded; trained again "
        f"{now} step {int(curve.step[-1])}: error {curve.val_error[-1]:.6g} where "
        f"{recorded:.6g} is recorded, losses off by {_largest(curve, winner.curve):.1g}; "
        f"{_told(environment)}"
    )


def _told(environment: Sequence[str]) -> str:
    differences = "; ".join(environment) or "none is known, so look at the data and the workload"
    return f"differences of environment: {differences}"
