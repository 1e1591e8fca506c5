"""How trials ended: judged when their race ends, and again when all trials are known."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from study.config.study import ResolvedStudy
from study.engine.stopping_rules import StoppingRules
from study.records import Curve, Outcome, Role, Seconds, Status, TrialResult

_Key = tuple[int, Role | None, int | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """The measurements of a lane.

    Attributes:
        curve: finite measurements, from step 0.
        diverged_at: step of a measurement that was not finite; None where all were finite.
        pruned: whether it was dropped at a rung, after its last measurement.
        seconds: share of the race's wall-clock time.
        finished: whether it took all its steps although the last ones are not measured.
    """

    curve: Curve
    diverged_at: int | None
    seconds: Seconds = field(default_factory=Seconds)
    pruned: bool = False
    finished: bool = False


LOST = (
    Run(curve=Curve.empty(), diverged_at=None),
    Outcome(status=Status.FAILED, steps=None, steps_before=None, stopped_at=0, best_error=None),
)
"""Run and outcome of a trial that failed."""


def judge(run: Run, rules: StoppingRules) -> tuple[Run, Outcome]:
    """Return a run cut at the cap of the rules, and its outcome.

    A pure function: it is applied when a race ends, and again when other cohorts have lowered the
    cap, so the result does not depend on the order of cohorts.
    """
    run = _cut(run, rules.cap)
    curve = run.curve
    # a program need not measure before its first step
    start = int(curve.step.size > 0 and curve.step[0] == 0)
    after = curve.val_error[start:]
    hits = np.flatnonzero(after < rules.target)
    last = int(curve.step[-1]) if run.diverged_at is None else run.diverged_at
    if hits.size:
        row = int(hits[0]) + start
        if not rules.to_budget:
            run = replace(run, curve=curve.until(row + 1), diverged_at=None)
        outcome = Outcome(
            status=Status.REACHED,
            steps=int(curve.step[row]),
            steps_before=int(curve.step[row - 1]) if row else 0,
            stopped_at=last if rules.to_budget else int(curve.step[row]),
            best_error=float(run.curve.val_error[start:].min()),
        )
        return run, outcome
    outcome = Outcome(
        status=_status_above_target(run, rules),
        steps=None,
        steps_before=None,
        stopped_at=last,
        best_error=float(after.min()) if after.size else None,
    )
    return run, outcome


def _cut(run: Run, cap: float) -> Run:
    beyond = np.flatnonzero(run.curve.step >= cap)
    if beyond.size == 0:
        return run
    return replace(run, curve=run.curve.until(int(beyond[0]) + 1), diverged_at=None, pruned=False)


def _status_above_target(run: Run, rules: StoppingRules) -> Status:
    curve = run.curve
    if run.diverged_at is not None or curve.step.size == 0:
        return Status.DIVERGED
    first = curve.val_loss[0], curve.val_error[0]
    last = curve.val_loss[-1], curve.val_error[-1]
    # a program need not report step 0, and later losses say nothing of where it began
    if curve.step[0] == 0 and has_diverged(first, last, rules.target):
        return Status.DIVERGED
    spent = run.finished or curve.step[-1] >= rules.max_steps
    if spent and rules.cap > rules.max_steps:
        return Status.EXHAUSTED
    return Status.PRUNED if run.pruned else Status.CAPPED


def has_diverged(
    first: Sequence[float], last: Sequence[float], target: float, times: float = 1.0
) -> bool:
    """Return whether the last loss and error show that a lane has diverged.

    Args:
        first: loss and error at step 0.
        last: finite loss and error of a later measurement.
        target: error to get below.
        times: the loss must be above so many times its initial value.
    """
    # the error alone cannot show it: a diverged classifier still guesses as well as at step 0
    halfway = (first[1] + target) / 2
    return bool(last[0] > times * first[0] and last[1] > halfway)


def final_results(resolved: ResolvedStudy, results: Iterable[TrialResult]) -> list[TrialResult]:
    """Return all trials judged by the fewest steps over all trials of their batch size.

    A replicate is judged by the steps of its point in the search. Curves are cut at the final cap;
    the result is grouped by batch size and does not depend on the order of training.
    """
    results = list(results)
    best = _best_steps_by_size(results)
    steps = {_key(result): result.outcome.steps for result in results}
    by_size: dict[int, list[TrialResult]] = {}
    for result in results:
        by_size.setdefault(result.batch_size, []).append(result)
    return [
        _judge_again(result, _rules(resolved, result, best, steps))
        for group in by_size.values()
        for result in group
    ]


def _best_steps_by_size(results: Iterable[TrialResult]) -> dict[int, int]:
    best: dict[int, int] = {}
    for result in results:
        steps = result.outcome.steps
        if steps is not None and result.point.role is not Role.REPLICATE:
            best[result.batch_size] = min(steps, best.get(result.batch_size, steps))
    return best


def _key(result: TrialResult) -> _Key:
    return result.batch_size, result.point.role, result.point.trial


def _rules(
    resolved: ResolvedStudy,
    result: TrialResult,
    best: dict[int, int],
    steps: dict[_Key, int | None],
) -> StoppingRules:
    role, source = result.point.role, result.point.source
    known = best.get(result.batch_size)
    if role is Role.REPLICATE and source is not None:
        known = steps.get((source.batch_size, source.role, source.trial))
    return StoppingRules.for_role(role, resolved, result.batch_size, known)


def _judge_again(result: TrialResult, rules: StoppingRules) -> TrialResult:
    if result.outcome.status is Status.FAILED:
        return result
    steps, stopped = result.curve.step, result.outcome.stopped_at
    diverged_at = stopped if steps.size == 0 or stopped > steps[-1] else None
    run = Run(
        curve=result.curve,
        diverged_at=diverged_at,
        seconds=result.seconds,
        pruned=result.outcome.status is Status.PRUNED,
        finished=result.outcome.status is Status.EXHAUSTED,
    )
    run, outcome = judge(run, rules)
    return replace(result, curve=run.curve, outcome=outcome)
