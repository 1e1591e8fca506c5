"""What the trials of a study count as, once all of them are known."""

from collections.abc import Iterable
from dataclasses import replace

from study.config import ResolvedStudy
from study.records import Role, Status, TrialResult
from study.rules import Rules, Run, judge

_Key = tuple[int, Role | None, int | None]


def final_results(study: ResolvedStudy, results: Iterable[TrialResult]) -> list[TrialResult]:
    """Judges every trial by the fewest steps over all trials of its batch size.

    A replicate is judged by the steps that its point took in the search.

    Args:
        study: the study.
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
        _judged(result, _rules(study, result, best, steps))
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
    study: ResolvedStudy,
    result: TrialResult,
    best: dict[int, int],
    steps: dict[_Key, int | None],
) -> Rules:
    role, source = result.point.role, result.point.source
    known = best.get(result.batch_size)
    if role is Role.REPLICATE and source is not None:
        known = steps.get((source.batch_size, source.role, source.trial))
    return Rules.of(role, study, result.batch_size, known)


def _judged(result: TrialResult, rules: Rules) -> TrialResult:
    if result.outcome.status is Status.FAILED:
        return result
    steps, stopped = result.curve.step, result.outcome.stopped_at
    broke = stopped if steps.size == 0 or stopped > steps[-1] else None
    run, outcome = judge(Run(curve=result.curve, broke_at=broke, seconds=result.seconds), rules)
    return replace(result, curve=run.curve, outcome=outcome)
