"""How trials ended: judged when their race ends, and again when all trials are known."""

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from study.config.study import ResolvedStudy
from study.engine.stopping_rules import StoppingRules, has_diverged, held_to
from study.records import (
    Cohort,
    Curve,
    Execution,
    Floats,
    Outcome,
    Role,
    Seconds,
    Status,
    Steps,
    TrialResult,
)

Texts = NDArray[np.str_]
TrialKey = tuple[str | None, int | None]
"""Role and number of a trial; None for no trial."""
Recorded = tuple[str, int, int | None, TrialKey]
"""A trial's role and number, its recorded steps to target, and the trial its point comes from."""
JUDGED = ("step", "val_loss", "val_error")
"""Columns of a curve that decide how a trial ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """The measurements of a lane."""

    curve: Curve  # finite measurements, from step 0
    diverged_at: int | None  # step of a measurement that was not finite; None if there was none
    seconds: Seconds = field(default_factory=Seconds)  # share of the race's wall-clock time
    pruned: bool = False  # whether it was dropped at a rung, after its last measurement
    finished: bool = False  # whether it took all its steps without a measurement at the last


LOST = (
    Run(curve=Curve.empty(), diverged_at=None),
    Outcome(status=Status.FAILED, steps=None, steps_before=None, stopped_at=0, best_error=None),
)
"""Run and outcome of a trial that failed."""


def trial_result(
    cohort: Cohort,
    index: int,
    ended: tuple[Run, Outcome] = LOST,
    execution: Execution | None = None,
    message: str = "",
) -> TrialResult:
    """Return the result of the trial at an index of a cohort; the message says why it failed."""
    run, outcome = ended
    return TrialResult(
        batch_size=cohort.batch_size,
        cohort=cohort.number,
        point=cohort.points[index],
        curve=run.curve,
        outcome=outcome,
        seconds=run.seconds,
        message=message,
        execution=execution,
        region=cohort.region,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Runs:
    """The measurements of many lanes, concatenated lane by lane."""

    sizes: Steps  # number of measurements of each lane, shape (lanes,)
    step: Steps
    val_loss: Floats
    val_error: Floats
    diverged_at: Steps  # as in `Run`, -1 for None; this and the following have shape (lanes,)
    pruned: NDArray[np.bool_]
    finished: NDArray[np.bool_]

    @classmethod
    def recorded(
        cls, sizes: Steps, values: Mapping[str, NDArray[Any]], status: Texts, stopped_at: Steps
    ) -> "Runs":
        """Return the runs of recorded trials; `values` has their measurements by name."""
        step = values["step"]
        last = np.full(sizes.shape, -1)
        last[sizes > 0] = step[np.cumsum(sizes)[sizes > 0] - 1]
        return cls(
            sizes=sizes,
            step=step,
            val_loss=values["val_loss"],
            val_error=values["val_error"],
            diverged_at=np.where((sizes == 0) | (stopped_at > last), stopped_at, -1),
            pruned=status == Status.PRUNED,
            finished=status == Status.EXHAUSTED,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcomes:
    """The outcomes of many lanes, as in `Outcome`; every array has shape (lanes,)."""

    rows: Steps  # number of measurements up to the cap or the target
    status: Texts
    steps: Steps  # -1 for None
    steps_before: Steps  # -1 for None
    stopped_at: Steps
    best_error: Floats  # NaN for None

    def outcomes(self) -> list[Outcome]:
        """Return the outcome of each lane."""
        columns = (self.status, self.steps, self.steps_before, self.stopped_at, self.best_error)
        # each made once, since there may be very many trials
        statuses = {status: Status(status) for status in set(self.status.tolist())}
        return [
            Outcome(
                status=statuses[status],
                steps=None if steps < 0 else steps,
                steps_before=None if before < 0 else before,
                stopped_at=end,
                best_error=None if math.isnan(best) else best,
            )
            for status, steps, before, end, best in zip(*(c.tolist() for c in columns), strict=True)
        ]


def judge(run: Run, rules: StoppingRules) -> tuple[Run, Outcome]:
    """Return a run cut at the cap of the rules, and its outcome, by `judge_all`."""
    curve = run.curve
    runs = Runs(
        sizes=np.array([curve.step.size]),
        step=curve.step,
        val_loss=curve.val_loss,
        val_error=curve.val_error,
        diverged_at=np.array([-1 if run.diverged_at is None else run.diverged_at]),
        pruned=np.array([run.pruned]),
        finished=np.array([run.finished]),
    )
    judged = judge_all(runs, rules, np.array([rules.cap]))
    return replace(run, curve=curve.until(int(judged.rows[0]))), judged.outcomes()[0]


def judge_all(runs: Runs, rules: StoppingRules, caps: Floats) -> Outcomes:
    """Return the outcomes of runs that are cut at their caps.

    The first measurement at or past a cap is the last that matters. This is a pure function, used
    when a race ends and again when other cohorts have lowered the cap, so the result does not
    depend on the order of cohorts.
    """
    sizes = runs.sizes
    lane = np.repeat(np.arange(sizes.size), sizes)
    first = np.cumsum(sizes) - sizes
    row = np.arange(runs.step.size) - first[lane]
    beyond = _first_row(lane, row, runs.step >= caps[lane], sizes)
    rows, capped = np.minimum(beyond + 1, sizes), beyond < sizes
    diverged_at = np.where(capped, -1, runs.diverged_at)
    pruned = runs.pruned & ~capped

    def at(values: NDArray[Any], rows: Steps | int) -> NDArray[Any]:
        """Return the values at one row of every lane; arbitrary for a lane with none."""
        if not values.size:
            return np.zeros(sizes.size, values.dtype)
        chosen: NDArray[Any] = values[np.minimum(first + np.maximum(rows, 0), values.size - 1)]
        return chosen

    # a program need not measure before its first step
    from_start = (sizes > 0) & (at(runs.step, 0) == 0)
    trained = (row >= from_start[lane]) & (row < rows[lane])
    hit = _first_row(lane, row, trained & (runs.val_error < rules.target), sizes)
    reached = hit < sizes
    if not rules.to_budget:
        rows = np.where(reached, hit + 1, rows)
        diverged_at = np.where(reached, -1, diverged_at)
        trained &= row < rows[lane]
    best = np.full(sizes.shape, np.inf)
    np.minimum.at(best, lane[trained], runs.val_error[trained])
    last = at(runs.step, rows - 1)
    measured = (runs.val_loss, runs.val_error)
    initial, final = ([at(values, where) for values in measured] for where in (0, rows - 1))
    diverged = (diverged_at >= 0) | (sizes == 0)
    # a program need not report step 0, and later losses do not show where it began
    diverged |= from_start & has_diverged(initial, final, rules.target)
    spent = (runs.finished | (last >= rules.max_steps)) & (caps > rules.max_steps)
    status = np.select(
        [reached, diverged, spent, pruned],
        [Status.REACHED, Status.DIVERGED, Status.EXHAUSTED, Status.PRUNED],
        Status.CAPPED,
    )
    before = np.where(hit > 0, at(runs.step, hit - 1), 0)
    return Outcomes(
        rows=rows,
        status=status,
        steps=np.where(reached, at(runs.step, hit), -1),
        steps_before=np.where(reached, before, -1),
        stopped_at=np.where(diverged_at >= 0, diverged_at, last),
        best_error=np.where(np.isinf(best), np.nan, best),
    )


def _first_row(lane: Steps, row: Steps, true: NDArray[np.bool_], sizes: Steps) -> Steps:
    """Return each lane's first row where `true` is True; its size if there is none."""
    rows = sizes.copy()
    np.minimum.at(rows, lane[true], row[true])
    return rows


def final_results(resolved: ResolvedStudy, results: Iterable[TrialResult]) -> list[TrialResult]:
    """Return all trials judged by the fewest steps over all trials of their batch size.

    A replicate is judged by the steps of its point in the search. Curves are cut at the final cap;
    the result is grouped by batch size and does not depend on the order of training.
    """
    by_size: dict[int, list[TrialResult]] = {}
    for result in results:
        by_size.setdefault(result.batch_size, []).append(result)
    final: list[TrialResult] = []
    for size, group in by_size.items():
        values = {
            name: np.concatenate([getattr(result.curve, name) for result in group])
            for name in JUDGED
        }
        runs = Runs.recorded(
            np.array([result.curve.step.size for result in group]),
            values,
            np.array([result.outcome.status for result in group]),
            np.array([result.outcome.stopped_at for result in group]),
        )
        judged = judge_recorded(resolved, size, [_recorded(result) for result in group], runs)
        final += map(_judged_result, group, judged.rows.tolist(), judged.outcomes())
    return final


def _judged_result(result: TrialResult, rows: int, outcome: Outcome) -> TrialResult:
    """Return a trial cut to `rows` measurements; itself if nothing changes, as for most."""
    unchanged = rows >= result.curve.step.size and outcome == result.outcome
    if unchanged or result.outcome.status is Status.FAILED:
        return result
    return replace(result, curve=result.curve.until(rows), outcome=outcome)


def judge_recorded(
    resolved: ResolvedStudy, batch_size: int, trials: Sequence[Recorded], runs: Runs
) -> Outcomes:
    """Return the outcomes of a batch size's trials, judged by the fewest steps over all of them.

    A replicate is judged by the steps of its point in the search, or of its re-runs if `until`
    granted more of them. `runs` are in the order of `trials`; outcomes of failed trials are void.
    """
    known: dict[TrialKey, int | None] = {(role, trial): n for role, trial, n, _ in trials}
    if resolved.seeds_at(batch_size) > resolved.replicates.seeds and runs.step.size:
        last = runs.step[np.cumsum(runs.sizes) - 1].tolist()
        ends: dict[TrialKey, list[int]] = {}
        for end, size, (role, _, steps, source) in zip(last, runs.sizes, trials, strict=True):
            if role == Role.REPLICATE and size:
                ends.setdefault(source, []).append(end if steps is None else steps)
        known |= {key: held_to(steps, ends.get(key, [])) for key, steps in known.items() if steps}
    competing = [steps for role, _, steps, _ in trials if role != Role.REPLICATE]
    best = min((steps for steps in competing if steps is not None), default=None)

    @functools.cache
    def cap(role: str, steps: int | None) -> float:
        return StoppingRules.for_role(Role(role), resolved, batch_size, steps).cap

    caps = [
        cap(role, known.get(source) if role == Role.REPLICATE else best)
        for role, _, _, source in trials
    ]
    rules = StoppingRules.for_search(resolved, batch_size, None)
    return judge_all(runs, rules, np.array(caps, dtype=np.float64))


def _recorded(result: TrialResult) -> Recorded:
    point, source = result.point, result.point.source
    origin = (None, None) if source is None else (source.role, source.trial)
    return point.role, point.trial, result.outcome.steps, origin
