"""The best trial of each batch size trained again, once for all diagnostics requested."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.measures.branches import BRANCH
from batchscale.errors import not_among
from study.config.study import ResolvedStudy
from study.engine.networks.training import LoadedWorkload, Lockstep, Trainable
from study.errors import StudyError
from study.records import TrialResult
from study.replay.diagnostics import branch, curvature, gap, landscape, layers, noise, sharpness
from study.replay.diagnostics.network import EXAMPLES, Network, Row, sample_of
from study.replay.recorded import winners
from study.replay.trial import Replay
from study.search.replicates import fresh_seeds
from workloads.command import PROGRAM, Command
from workloads.workload import Dynamics

MOMENTS_BETWEEN = 3
"""Moments measured between start and end, evenly spaced in the logarithm of the step."""
START, BETWEEN, END = "start", "between", "end"
EQUAL_STEPS, EQUAL_EXAMPLES = "equal steps", "equal examples"
_THROUGHOUT = frozenset({START, BETWEEN, END})


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnostic:
    """What is measured on a network, and the names of the moments at which to measure it."""

    measure: Callable[[Network], Iterable[Row]]
    moments: frozenset[str] = frozenset({END})


LANDSCAPE = "landscape"
DIAGNOSTICS: Mapping[str, Diagnostic] = {
    "noise": Diagnostic(measure=noise.noise, moments=_THROUGHOUT),
    "curvature": Diagnostic(measure=curvature.curvature),
    "sharpness": Diagnostic(measure=sharpness.sharpness),
    LANDSCAPE: Diagnostic(measure=landscape.along),
    "gap": Diagnostic(measure=gap.gap, moments=frozenset({END, EQUAL_STEPS, EQUAL_EXAMPLES})),
    "layers": Diagnostic(measure=layers.layers, moments=_THROUGHOUT),
}
NAMES = (*DIAGNOSTICS, BRANCH)
"""All that can be requested: diagnostics of a network, and branches at the smallest batch size."""


def diagnostics_named(text: str | None) -> list[str]:
    """Return the diagnostics in a comma-separated list, each once, in order; all for None."""
    if text is None:
        return list(NAMES)
    names = [word.strip() for word in text.split(",") if word.strip()]
    wrong = [name for name in names or [""] if name not in NAMES]
    if wrong:
        raise StudyError(not_among("--what", wrong[0], NAMES))
    return [name for name in NAMES if name in names]


def best_trials(
    resolved: ResolvedStudy,
    recorded: Sequence[TrialResult],
    batch_sizes: Sequence[int] | None,
    seeds: int = 0,
) -> list[TrialResult]:
    """Return the trial with the fewest steps at each batch size, or up to `seeds` re-runs of it.

    `batch_sizes` of None are all that reached the target.

    Raises:
        StudyError: the study is of a program, a batch size (or every one) missed the target, or
            one has no re-runs with fresh seeds.
    """
    if resolved.compute.mode == PROGRAM:
        raise StudyError(
            "only a network that batchscale trains can be diagnosed, got a study of a program; "
            "measure it in the program itself"
        )
    best = {winner.batch_size: winner for winner in winners(resolved, recorded)}
    if not best:
        raise StudyError(
            "trials are diagnosed at batch sizes that reached the target, got none; raise "
            "race.max_steps or search.trials, or loosen the target"
        )
    missed = sorted(set(batch_sizes or ()) - set(best))
    if missed:
        raise StudyError(
            f"--batch-sizes must be among those that reached the target, "
            f"{', '.join(map(str, best))}, got {missed[0]}"
        )
    sizes = sorted(set(batch_sizes or best))
    if not seeds:
        return [best[size] for size in sizes]
    reruns = {size: _fresh_seeds_at(recorded, size) for size in sizes}
    none = [size for size, trials in reruns.items() if not trials]
    if none:
        raise StudyError(
            f"--seeds needs re-runs with fresh seeds that reached the target, got none at batch "
            f"size {none[0]}; raise replicates.seeds, or leave it out of --batch-sizes"
        )
    return [trial for size in sizes for trial in reruns[size][:seeds]]


def diagnosable(resolved: ResolvedStudy, recorded: Sequence[TrialResult]) -> list[TrialResult]:
    """Return every trial that `best_trials` can return, whatever the number of seeds."""
    reruns = [t for size in resolved.batch_sizes for t in _fresh_seeds_at(recorded, size)]
    return [*winners(resolved, recorded), *reruns]


def _fresh_seeds_at(recorded: Sequence[TrialResult], batch_size: int) -> list[TrialResult]:
    return fresh_seeds([result for result in recorded if result.batch_size == batch_size])


def diagnose(
    resolved: ResolvedStudy,
    trainable: Trainable,
    recorded: Sequence[TrialResult],
    trials: Sequence[TrialResult],
    what: Sequence[str],
    examples: int = EXAMPLES,
) -> Iterator[tuple[TrialResult, list[Row]]]:
    """Train trials again, each once, and measure diagnostics on the way to the target.

    Args:
        resolved: the study.
        trainable: its loaded workload.
        recorded: all trials of the study, sorted by batch size, role and number.
        trials: those to train, sorted by batch size, all of which reached the target.
        what: the diagnostics, some of `NAMES`.
        examples: how many of a split to measure on, at most.

    Yields:
        Each trial with its rows of `diagnostics.parquet`. Branches belong to trials of the smallest
        batch size. Landscapes on the plane, and between the smallest and the largest batch size,
        follow at the end.
    """
    wanted = {name: DIAGNOSTICS[name] for name in what if name != BRANCH}
    lockstep = _diagnosable_workload(resolved, trainable, networks=bool(wanted))
    loaded = lockstep if wanted and isinstance(lockstep, LoadedWorkload) else None
    sample = None if loaded is None else sample_of(resolved, loaded, examples)
    budgets = _equal_steps(resolved, trials)
    smallest, largest = trials[0].batch_size, trials[-1].batch_size
    first = [trial for trial in trials if trial.batch_size == smallest]
    solutions: dict[int, list[Network]] = {}
    if LANDSCAPE in wanted:
        solutions = {smallest: [], largest: []}
    for trial in trials if wanted else first:
        moments = _moments(trial, budgets(trial.batch_size))
        network = Network(resolved, loaded, trial, sample) if loaded and sample else None
        rows: list[Row] = []
        replay, end = Replay(resolved, lockstep, trial, recorded), _end(trial)
        for step in replay.measurements(end):
            for moment in moments.get(step, ()):
                if network is not None:
                    rows += _measured(network, wanted, replay, moment)
                if BRANCH in what and trial.batch_size == smallest and moment in _THROUGHOUT:
                    branches = branch.branches(resolved, lockstep, trial, replay, first)
                    rows += _keyed(BRANCH, trial, moment, step, branches)
        _refuse_another_end(resolved, trial, replay, end)
        if network is not None and trial.batch_size in solutions:
            solutions[trial.batch_size].append(network)
        yield trial, rows
    if solutions:
        yield from _landscapes(*solutions.values())


def _measured(
    network: Network, wanted: Mapping[str, Diagnostic], replay: Replay, moment: str
) -> list[Row]:
    """Return the rows of the diagnostics that are due at a moment."""
    due = {name: one for name, one in wanted.items() if moment in one.moments}
    if due:
        network.set(replay.weights(), replay.step)
    return [
        row
        for name, one in due.items()
        for row in _keyed(name, network.trial, moment, replay.step, one.measure(network))
    ]


def _landscapes(
    smallest: Sequence[Network], largest: Sequence[Network] = ()
) -> Iterator[tuple[TrialResult, list[Row]]]:
    """Yield the landscapes at the smallest and the largest batch size, and between them.

    The n-th seed at one batch size is joined to the n-th at the other, so lines are independent.
    """
    for network in (*smallest, *largest):
        plane = landscape.plane(network)
        yield network.trial, _keyed(LANDSCAPE, network.trial, END, network.step, plane)
    for one, other in zip(smallest, largest, strict=False):
        line = landscape.between(one, other)
        yield one.trial, _keyed(LANDSCAPE, one.trial, END, one.step, line)


def _diagnosable_workload(
    resolved: ResolvedStudy, trainable: Trainable, *, networks: bool
) -> Lockstep:
    """Return a workload that can be diagnosed, in branches alone if not `networks`."""
    if networks and not isinstance(trainable, LoadedWorkload):
        raise StudyError(
            f"only a network can be diagnosed, got {resolved.workload!r}, a workload with its own "
            f"dynamics; choose a study of another workload, or --what {BRANCH}"
        )
    if isinstance(trainable, Dynamics) and not getattr(trainable, "batch_schedules", False):
        raise StudyError(
            "branches need a workload whose own dynamics know batch schedules, got "
            f"{resolved.workload!r}; choose a study of another workload"
        )
    if resolved.batch_schedule is not None:
        raise StudyError(
            "diagnostics are measured on mini-batches of one size, got a study with a batch "
            "schedule; choose a study without `batch_schedule`"
        )
    if resolved.federated is not None:
        raise StudyError(
            "diagnostics are measured on the mini-batches of a single model, got a federated study "
            "with one model per client; choose a study without `federated`"
        )
    assert not isinstance(trainable, Command)  # refused by `best_trials`
    return trainable


def _end(trial: TrialResult) -> int:
    steps = trial.outcome.steps
    assert steps is not None  # it reached the target
    return steps


def _equal_steps(
    resolved: ResolvedStudy, trials: Sequence[TrialResult]
) -> Callable[[int], dict[str, int]]:
    """Return the function that gives, at a batch size, the steps of each budget.

    A budget is the most steps, or examples, that every trial spent.
    """
    per_step = {trial.batch_size: resolved.examples_per_step(trial.batch_size) for trial in trials}
    steps = min(map(_end, trials))
    examples = min(_end(trial) * per_step[trial.batch_size] for trial in trials)
    return lambda size: {EQUAL_STEPS: steps, EQUAL_EXAMPLES: examples // per_step[size]}


def _moments(trial: TrialResult, budgets: Mapping[str, int]) -> dict[int, list[str]]:
    """Return the names of the moments at each step that is measured.

    A budget's moment is the last measurement within the budget, unless that is at step 0.
    """
    end = _end(trial)
    measured = trial.curve.step[trial.curve.step <= end]
    inside = measured[(measured > 0) & (measured < end)]
    moments = {0: [START]}
    for power in np.arange(1, MOMENTS_BETWEEN + 1) / (MOMENTS_BETWEEN + 1):
        if inside.size:
            nearest = inside[np.argmin(np.abs(np.log(inside) - power * math.log(end)))]
            moments.setdefault(int(nearest), [BETWEEN])
    moments.setdefault(end, []).append(END)
    for name, steps in budgets.items():
        last = int(measured[measured <= steps][-1])
        if last:
            moments.setdefault(last, []).append(name)
    return moments


def _keyed(what: str, trial: TrialResult, moment: str, step: int, rows: Iterable[Row]) -> list[Row]:
    key = {
        "what": what,
        "batch_size": trial.batch_size,
        "role": str(trial.point.role),
        "trial": trial.point.trial,
        "moment": moment,
        "step": step,
        "variant": "",
    }
    return [{**key, **row} for row in rows]


def _refuse_another_end(
    resolved: ResolvedStudy, trial: TrialResult, replay: Replay, end: int
) -> None:
    curve = replay.curve()
    if curve.step[-1] != end or not curve.val_error[-1] < resolved.target:
        raise StudyError(
            f"a replayed trial must reach the target at the recorded step, got trial "
            f"{trial.point.trial} at batch size {trial.batch_size} recorded at step {end}, and now "
            f"at error {curve.val_error[-1]:.4g} at step {curve.step[-1]}; `batchscale verify` "
            "shows the differences, --batch-sizes leaves this batch size out"
        )
