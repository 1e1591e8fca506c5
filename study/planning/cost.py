"""The expected cost of a study, from a few seconds of training at each batch size.

The first cohort of every batch size trains briefly. If it reaches the target, the fewest steps are
known; otherwise they are interpolated from other batch sizes, or bounded by perfect scaling, within
the step budget.
"""

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from rich import box
from rich.table import Table

from study.config.interpolation import interpolated
from study.config.study import ResolvedStudy
from study.engine.cohort import build_lanes
from study.engine.networks.training import Trainable
from study.engine.peak_memory import peak, reset_peak
from study.engine.stopping_rules import StoppingRules, measured_steps
from study.planning.trial_run import first_cohort, require_measured, trial_run
from study.records import Cohort
from study.search.samplers import shared_search
from study.search.shared import prunes
from workloads.command import Command
from workloads.workload import Lanes

_MEASUREMENT_BYTES, _TRIAL_BYTES = 40, 1_000
"""Bytes on disk in part, tables and journal together, as in `results/reference/digits`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """Measurements of brief training at one batch size."""

    batch_size: int
    step_seconds: float  # of a training step of a cohort
    evaluation_seconds: float  # of a measurement of a cohort
    reached: int | None  # first step at which a trial was below the target; None if none was
    memory: int  # peak bytes of the process, or of the GPU if there is one
    start_seconds: float = 0.0  # of a cohort before the first steps of its programs

    def seconds(self, steps: int, measurements: int) -> float:
        """Return the time of a cohort with this many steps and measurements."""
        training = steps * self.step_seconds + measurements * self.evaluation_seconds
        return self.start_seconds + training


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """The expected cost of one batch size: times in seconds, sizes in bytes."""

    batch_size: int
    trial_step_seconds: float
    steps_to_target: int  # the fewest, measured or from other batch sizes; else the budget
    measured: bool
    seconds: float  # of workers if these are the fewest steps
    seconds_at_most: float  # of workers if every trial spends its budget
    memory: int  # of a worker
    disk: int


def probe(resolved: ResolvedStudy, trainable: Trainable, batch_size: int, seconds: float) -> Probe:
    """Train the first cohort of a batch size for some seconds > 0; at least one step is timed."""
    cohort = first_cohort(resolved, batch_size)
    if isinstance(trainable, Command):
        return _program_probe(resolved, trainable, cohort, seconds)
    reset_peak()
    rules = StoppingRules.for_search(resolved, batch_size, None)
    lanes = build_lanes(resolved, trainable, cohort)
    lanes.measure()
    lanes.advance(1)
    return _timed(lanes, rules, batch_size, time.perf_counter() + seconds)


def _program_probe(
    resolved: ResolvedStudy, command: Command, cohort: Cohort, seconds: float
) -> Probe:
    run = trial_run(resolved, command, cohort, seconds)
    require_measured(run)
    # a worker runs as many programs of a cohort at once as fit, then the next ones
    rounds = math.ceil(len(cohort.points) / resolved.pack_at(cohort.batch_size))
    below = run.curve.step[(run.curve.step > 0) & (run.curve.val_error < resolved.target)]
    return Probe(
        batch_size=cohort.batch_size,
        step_seconds=rounds * run.step_seconds,
        evaluation_seconds=0.0,
        reached=int(below[0]) if below.size else None,
        memory=run.memory,
        start_seconds=rounds * run.start_seconds,
    )


def _timed(lanes: Lanes, rules: StoppingRules, batch_size: int, deadline: float) -> Probe:
    """Time a race after step 1, which includes one-time work."""
    step, reached = 1, None
    training, evaluation = [], []
    for next_step in (2, *measured_steps(rules)):
        started = time.perf_counter()
        if next_step > step:
            lanes.advance(next_step - step)
            training.append((time.perf_counter() - started) / (next_step - step))
            step = next_step
        started = time.perf_counter()
        error = lanes.measure()[1]
        evaluation.append(time.perf_counter() - started)
        if (error < rules.target).any():
            reached = step
        if reached is not None or time.perf_counter() > deadline:
            break
    return Probe(
        batch_size=batch_size,
        step_seconds=statistics.median(training),
        evaluation_seconds=statistics.median(evaluation),
        reached=reached,
        memory=peak(),
    )


def estimates(resolved: ResolvedStudy, probes: Sequence[Probe]) -> list[Estimate]:
    """Return the expected cost of every batch size, from its probe; batch sizes rise."""
    known = {p.batch_size: p.reached for p in probes if p.reached is not None}
    return [_estimate(resolved, p, known) for p in probes]


def plan_table(rows: Sequence[Estimate]) -> Table:
    """Return estimates as a table for a terminal, one row per batch size."""
    table = Table(box=box.SIMPLE_HEAD)
    names = ("batch size", "ms per trial step", "steps to target", "time", "at most", "memory")
    for name in (*names, "disk"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            f"{row.batch_size:,}",
            f"{1e3 * row.trial_step_seconds:.3g}",
            f"{'' if row.measured else '~'}{row.steps_to_target:,}",
            duration(row.seconds),
            duration(row.seconds_at_most),
            f"{row.memory / 1e6:,.0f} MB",
            f"{row.disk / 1e6:,.1f} MB",
        )
    return table


def whole_plan(whole: Mapping[str, float], studies: int) -> str:
    """Return a sentence on the total cost of a plan; `whole` has the keys of its JSON."""
    scope = f"all {studies} studies " if studies > 1 else ""
    return (
        f"{scope}with {whole['workers']} workers: {duration(whole['seconds'])} expected, at most "
        f"{duration(whole['seconds_at_most'])}; {whole['memory'] / 1e6:,.0f} MB of memory for "
        f"each; {whole['disk'] / 1e6:,.1f} MB on disk"
    )


def duration(seconds: float) -> str:
    """Return a duration as text, from "< 1 s" to hours."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return "< 1 s" if seconds < 1 else f"{seconds:.0f} s"


def _estimate(resolved: ResolvedStudy, probe: Probe, known: Mapping[int, int]) -> Estimate:
    size = probe.batch_size
    budget = resolved.budget(size)
    steps = min(budget, interpolated(size, known)) if known else budget
    trials = resolved.trials_at(size)
    if size in resolved.searched:
        trials += resolved.replicates_at(size)
    lanes = min(resolved.trials_at(size), resolved.lanes_at(size))
    cohorts = trials / lanes
    cap = StoppingRules.for_search(resolved, size, steps).cap
    last = budget if cap >= budget else math.ceil(cap)
    measurements = _measurements(resolved, size, last)
    share = _share_left(resolved, size, last / steps) if known else 1.0  # no rungs without steps
    return Estimate(
        batch_size=size,
        trial_step_seconds=probe.step_seconds / lanes,
        steps_to_target=steps,
        measured=probe.reached is not None,
        seconds=cohorts * probe.seconds(last, measurements) * share,
        seconds_at_most=cohorts * probe.seconds(budget, _measurements(resolved, size, budget)),
        memory=probe.memory,
        disk=trials * (_TRIAL_BYTES + measurements * _MEASUREMENT_BYTES),
    )


def _share_left(resolved: ResolvedStudy, batch_size: int, last: float) -> float:
    """Return the share of lane steps left by pruning, in races to `last` times the fewest steps."""
    trials = range(resolved.trials_at(batch_size))
    shared = shared_search(resolved.search.sampler) is not None
    pruned = sum(map(prunes, trials)) / len(trials) if shared else 1.0
    ends = [*(resolved.race.prune or ()), last]
    lengths = [end - start for start, end in zip([0.0, *ends], ends, strict=False)]
    left = sum(length * 0.5**rung for rung, length in enumerate(lengths)) / last
    return pruned * left + 1 - pruned


def _measurements(resolved: ResolvedStudy, batch_size: int, last: int) -> int:
    steps = measured_steps(StoppingRules.for_search(resolved, batch_size, None))
    return 1 + sum(1 for _ in takewhile(lambda step: step <= last, steps))


def past_plan(resolved: ResolvedStudy) -> list[str]:
    """Return a sentence on what `until` may add to the estimated plan; none without `until`."""
    if resolved.until is None:
        return []
    more = len(resolved.unmeasured)
    sizes = f", and up to {more} more batch sizes," if more else ""
    limits = resolved.until.model_dump(exclude_none=True).items()
    ends = " or ".join(f"until.{key} = {value:,}" for key, value in limits)
    return [f"this is the plan alone: a sweep adds seeds and trials{sizes} up to {ends}"]
