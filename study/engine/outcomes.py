"""How a trial ended: judged as its race ends, and again once every trial of the study is known."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from study.config.study import ResolvedStudy
from study.engine.stopping_rules import StoppingRules
from study.records import Curve, Outcome, Role, Seconds, Status, TrialResult

_Key = tuple[int, Role | None, int | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A lane's raw record.

    Attributes:
        curve: its finite measurements, step 0 first.
        diverged_at: the step of the measurement that was not finite; None where all were.
        seconds: the lane's share of the race's wall-clock.
    """

    curve: Curve
    diverged_at: int | None
    seconds: Seconds = field(default_factory=Seconds)


def judge(run: Run, rules: StoppingRules) -> tuple[Run, Outcome]:
    """Says how a trial ended, given the fewest steps to target at its batch size.

    A pure function of the record and the rules: it holds for a race as it ends and again when
    other cohorts have lowered the cap, so that the order of cohorts leaves no trace.

    Args:
        run: what was measured.
        rules: target, budget, and cap.

    Returns:
        The run cut at the cap, and its outcome.
    """
    run = _cut(run, rules.cap)
    curve = run.curve
    after = curve.val_error[1:]
    hits = np.flatnonzero(after < rules.target)
    last = int(curve.step[-1]) if run.diverged_at is None else run.diverged_at
    if hits.size:
        row = int(hits[0]) + 1
        if not rules.to_budget:
            run = replace(run, curve=curve.until(row + 1), diverged_at=None)
        outcome = Outcome(
            status=Status.REACHED,
            steps=int(curve.step[row]),
            steps_before=int(curve.step[row - 1]),
            stopped_at=last if rules.to_budget else int(curve.step[row]),
            best_error=float(run.curve.val_error[1:].min()),
        )
        return run, outcome
    outcome = Outcome(
        status=_miss(run, rules),
        steps=None,
        steps_before=None,
        stopped_at=last,
        best_error=float(after.min()) if after.size else None,
    )
    return run, outcome


def _cut(run: Run, cap: float) -> Run:
    past = np.flatnonzero(run.curve.step >= cap)
    if past.size == 0:
        return run
    return replace(run, curve=run.curve.until(int(past[0]) + 1), diverged_at=None)


def _miss(run: Run, rules: StoppingRules) -> Status:
    curve = run.curve
    if run.diverged_at is not None or curve.step.size == 0:
        return Status.DIVERGED
    # the error alone would not tell: a blown-up classifier still guesses as well as at its start
    halfway = (curve.val_error[0] + rules.target) / 2
    if curve.val_loss[-1] > curve.val_loss[0] and curve.val_error[-1] > halfway:
        return Status.DIVERGED
    if curve.step[-1] >= rules.max_steps and rules.cap > rules.max_steps:
        return Status.EXHAUSTED
    return Status.CAPPED


def final_results(resolved: ResolvedStudy, results: Iterable[TrialResult]) -> list[TrialResult]:
    """Judges every trial by the fewest steps over all trials of its batch size.

    A replicate is judged by the steps that its point took in the search.

    Args:
        resolved: the study.
        results: recorded trials in any order.

    Returns:
        The same trials in their order by batch size, cut at the final cap, whatever the order
        they were run in.
    """
    results = list(results)
    best = _fewest_steps(results)
    steps = {_key(result): result.outcome.steps for result in results}
    by_size: dict[int, list[TrialResult]] = {}
    for result in results:
        by_size.setdefault(result.batch_size, []).append(result)
    return [
        _judged(result, _rules(resolved, result, best, steps))
        for group in by_size.values()
        for result in group
    ]


def _fewest_steps(results: Iterable[TrialResult]) -> dict[int, int]:
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
    return StoppingRules.of(role, resolved, result.batch_size, known)


def _judged(result: TrialResult, rules: StoppingRules) -> TrialResult:
    if result.outcome.status is Status.FAILED:
        return result
    steps, stopped = result.curve.step, result.outcome.stopped_at
    broke = stopped if steps.size == 0 or stopped > steps[-1] else None
    run, outcome = judge(Run(curve=result.curve, diverged_at=broke, seconds=result.seconds), rules)
    return replace(result, curve=run.curve, outcome=outcome)
