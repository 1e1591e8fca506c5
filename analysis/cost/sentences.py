"""What training to the target costs, in sentences with their numbers and intervals."""

from collections.abc import Iterable

from analysis.cost.devices import ALL_REDUCE, EXAMPLES, SHARES, DeviceCost
from analysis.cost.estimates import DEVICE_TIME, ENERGY, TIME, amount, text
from analysis.cost.rows import CostRow
from analysis.cost.step_costs import MEASURED, StepCost
from analysis.cost.study_cost import StudyCost
from analysis.fitting.estimates import REACH, list_text, rounded, span_text
from analysis.measures.federated import step_unit
from analysis.measures.replicates import fitted_quantity

_STEADY = 2.0
"""Factor between the repeats of a step beyond which they are said to be disturbed."""
_REASONS = {
    EXAMPLES: "the critical batch size: larger batches need more examples",
    SHARES: "small shares of a batch, which keep a device less busy",
    ALL_REDUCE: "the all-reduce of gradients",
}


def cost_sentences(cost: StudyCost) -> tuple[str, ...]:
    """Return the findings, one sentence each: verdicts first, then their basis."""
    return (
        *disturbed_sentences(cost),
        *fastest_sentences(cost),
        *_throughput(cost),
        *_doubling(cost),
        *_under_tuned(cost),
        *_energy(cost),
        *_device_sentences(cost),
        _timed(cost),
        *_unsteady(cost),
        *_evaluation(cost),
        _intervals(cost),
        *_open(cost),
        *_missing(cost),
    )


def disturbed_sentences(cost: StudyCost) -> tuple[str, ...]:
    """Return at which batch sizes other programs used cores that the timed threads lacked."""
    disturbed = cost.costs.disturbed
    if not disturbed:
        return ()
    most = max(row.lacking or 0.0 for row in disturbed)
    return (
        f"B = {_listed(disturbed)}: while steps were timed, other programs took up to {most:.1f} "
        f"cores from the {cost.costs.threads or 1} threads, so the times below are too long; run "
        "`cost` again when these programs have ended, or with fewer --threads.",
    )


def setting_text(cost: StudyCost) -> str:
    """Return what was timed: device, threads and precision."""
    threads = cost.costs.threads
    told = f"{threads} thread{'s' if threads != 1 else ''}" if threads else ""
    return ", ".join(filter(None, (cost.costs.device, told, cost.costs.precision)))


def fastest_sentences(cost: StudyCost) -> tuple[str, ...]:
    """Return which batch size is the fastest on one device, and the smallest that is near it."""
    best = cost.fastest
    if best is None or best.seconds is None or best.steps is None or best.step is None:
        return (
            "No batch size has both a step time and steps to target, so none can be recommended.",
        )
    unit = step_unit(cost.analysis.study.config)
    sentences = [
        f"Fastest on one device: B = {best.batch_size}, {text(best.seconds, TIME)} to target, "
        f"{text(best.steps)} {unit} of {text(best.step.seconds, TIME)}{_as_fast(cost)}.",
        f"On one device the fastest batch size is also the cheapest: {_bill(best)}.",
    ]
    near = cost.smallest_near
    if near is not None and near is not best and near.seconds is not None:
        sentences.append(
            f"The smallest batch size within 10% of the fastest is B = {near.batch_size}: "
            f"{text(near.seconds, TIME)}, {_bill(near)}."
        )
    return tuple(sentences)


def _as_fast(cost: StudyCost) -> str:
    if len(cost.timed) == 1:
        return ", the only batch size with a time"
    if not cost.held:
        return "; without intervals, other batch sizes may be as fast"
    if not cost.as_fast:
        return "; all others are slower by more than their intervals"
    return f"; by their intervals, B = {_listed(cost.as_fast)} may be as fast"


def _bill(row: CostRow) -> str:
    assert row.seconds is not None
    hours = text(row.seconds, DEVICE_TIME)
    if row.money is None:
        return hours
    return f"{hours}, {text(row.money)} at {row.price:g} an hour"


def _listed(rows: Iterable[CostRow | StepCost]) -> str:
    return ", ".join(str(row.batch_size) for row in rows)


def _throughput(cost: StudyCost) -> tuple[str, ...]:
    stop, timed = cost.throughput_stops, [row for row in cost.rows if row.step is not None]
    if stop is None or stop.examples_per_second is None or len(timed) == 1:
        return ()
    rate = f"{text(stop.examples_per_second)} examples/s"
    if stop is timed[-1]:
        return (
            f"Throughput still rises at the largest batch size, B = {stop.batch_size}: {rate}.",
        )
    return (
        f"Throughput stops rising at B = {stop.batch_size}: {rate}, within 10% of the most at any "
        "batch size.",
    )


def _doubling(cost: StudyCost) -> tuple[str, ...]:
    if not cost.doublings:
        return ()
    steps = [(f"{at.batch_size} to {at.next}", at) for at in cost.doublings]
    times = "; ".join(f"{which}: {text(at.seconds)}" for which, at in steps)
    examples = "; ".join(f"{which}: {rounded(at.examples.value)}" for which, at in steps)
    return (
        f"From one batch size to the next, the time to target is multiplied by: {times}.",
        f"The examples to target are multiplied by: {examples}.",
    )


def _under_tuned(cost: StudyCost) -> tuple[str, ...]:
    ratios = [
        row.steps_found / row.steps.value for row in cost.beyond if row.steps_found and row.steps
    ]
    if not ratios:
        return ()
    span = span_text(rounded(min(ratios)), rounded(max(ratios)))
    return (
        f"B = {_listed(cost.beyond)}: the best point found takes {span} times the steps of the "
        "estimated optimum, beyond its interval; run more trials there (search.trials).",
    )


def _energy(cost: StudyCost) -> tuple[str, ...]:
    known = [(row, row.joules) for row in cost.rows if row.joules is not None]
    if not known:
        return ("Energy is unknown: no driver reports it (NVML on a GPU, RAPL on a CPU).",)
    row, joules = min(known, key=lambda pair: pair[1].value)
    return (f"Least energy on one device: B = {row.batch_size}, {text(joules, ENERGY)} to target.",)


def _device_sentences(cost: StudyCost) -> tuple[str, ...]:
    fastest, cheapest, near = cost.fastest_scaled, cost.cheapest_scaled, cost.cheapest_near
    told = _left_out(cost)
    if fastest is None or cheapest is None or near is None or cost.scaling[-1].devices == 1:
        return told
    return (
        f"Fastest number of devices: {_scaled(fastest)}.",
        f"Cheapest: {_scaled(cheapest)}.",
        f"Cheapest within 10% of the fastest: {_scaled(near)}.",
        _end_of_scaling(cost),
        *_link(cost),
        *told,
    )


def _scaled(row: DeviceCost) -> str:
    devices = f"{row.devices} device{'s' if row.devices > 1 else ''}"
    money = "" if row.money is None else f", {text(row.money)} in money"
    return (
        f"{devices} at B = {row.batch_size}, {text(row.seconds, TIME)} to target, "
        f"{text(row.device_seconds, DEVICE_TIME)}{money}"
    )


def _end_of_scaling(cost: StudyCost) -> str:
    ended = cost.ended
    last = cost.scaling[-1] if ended is None else ended
    why = (
        f"there {last.devices} devices are {text(last.speedup)} times as fast as one, at "
        f"B = {last.batch_size}: the device-hours of one are multiplied by "
        f"{rounded(last.factors[EXAMPLES])} for more examples to target, by "
        f"{rounded(last.factors[SHARES])} for smaller shares, and by "
        f"{rounded(last.factors[ALL_REDUCE])} for the all-reduce"
    )
    if ended is None:
        return f"Strong scaling does not end within {last.devices} devices; {why}."
    reason = max(ended.factors, key=lambda name: ended.factors[name])
    b_crit = cost.analysis.b_crit
    known = f" ({b_crit.estimate.text('b_crit')})" if b_crit and reason == EXAMPLES else ""
    return (
        f"Strong scaling ends before {ended.devices} devices, where less than half of a perfect "
        f"speed-up is left, mostly because of {_REASONS[reason]}{known}; {why}."
    )


def _link(cost: StudyCost) -> tuple[str, ...]:
    link = cost.terms.link
    if link is None:
        return ()
    on = "" if link.measured_on is None else f", as measured on {link.measured_on} GPUs"
    return (
        f"An all-reduce is a ring over links of {link.bandwidth / 1e9:.3g} GB/s, with "
        f"{amount(link.latency, TIME)} for each message{on}; it does not overlap with a step.",
    )


def _left_out(cost: StudyCost) -> tuple[str, ...]:
    without = sorted({*cost.terms.devices} - {row.devices for row in cost.scaling})
    if not without:
        return ()
    least = cost.costs.rows[0].batch_size
    return (
        f"{', '.join(map(str, without))} devices are left out: no batch size gives each of them "
        f"{least} examples or more, the smallest batch that was timed.",
    )


def _timed(cost: StudyCost) -> str:
    costs = cost.costs
    if costs.source != MEASURED:
        return f"Step times are those of {costs.source}, on {setting_text(cost)}."
    repeats = [row.repeats for row in costs.rows if row.repeats]
    return (
        f"Steps were timed with one model at a time, on {setting_text(cost)}: medians of "
        f"{span_text(min(repeats), max(repeats))} repeats, with their 95% intervals."
    )


def _unsteady(cost: StudyCost) -> tuple[str, ...]:
    """Return which batch sizes another process seems to have disturbed."""
    wide = [
        row
        for row in cost.rows
        if row.step and row.step.seconds.high > _STEADY * row.step.seconds.low
    ]
    if cost.costs.source != MEASURED or not wide:
        return ()
    fewer = ", or with fewer --threads" if (cost.costs.threads or 1) > 1 else ""
    return (
        f"B = {_listed(wide)}: the ends of the interval of a step differ by more than a factor of "
        f"{_STEADY:g}, as other programs cause; run `cost` again when they have ended{fewer}.",
    )


def _evaluation(cost: StudyCost) -> tuple[str, ...]:
    known = [
        (row.evaluation_seconds, row.seconds.value)
        for row in cost.costs.rows
        if row.evaluation_seconds is not None
    ]
    if not known:
        return ()
    seconds, step = known[0]
    return (
        f"A measurement on the validation set takes {amount(seconds, TIME)}, as long as "
        f"{rounded(seconds / step)} steps at B = {cost.costs.rows[0].batch_size}; the times to "
        "target include none.",
    )


def _intervals(cost: StudyCost) -> str:
    analysis = cost.analysis
    if not cost.held:
        return (
            "Steps to target have no interval: they are the fewest over trials, without "
            "replicates and at too few batch sizes to compare fits; set replicates.seeds and run "
            "`sweep` again."
        )
    of = fitted_quantity(analysis.study, analysis.table)
    what = f"those of the curve fitted to the {of}" if cost.on_curve else f"the {of}"
    missing = "" if analysis.tuning is None else analysis.tuning.missing
    without = f"; none covers under-tuning: {missing}" if missing else ""
    return (
        f"Steps to target are {what}; their 95% intervals cover {list_text(cost.held)}, and those "
        f"of times also the spread of step times{without}."
    )


def _open(cost: StudyCost) -> tuple[str, ...]:
    rows = [row for row in cost.rows if row.steps is not None and not row.steps.identified]
    if not rows or not cost.held:
        return ()
    return (
        f"B = {_listed(rows)}: the data do not bound the steps on both sides within a factor of "
        f"{REACH:g}; run more trials (search.trials) or seeds (replicates.seeds) there.",
    )


def _missing(cost: StudyCost) -> tuple[str, ...]:
    missed = [row for row in cost.rows if row.steps is None]
    untimed = [row for row in cost.rows if row.step is None]
    return (
        *([f"B = {_listed(missed)}: no steps to target, so no time to target."] if missed else []),
        *([f"B = {_listed(untimed)}: no step time is known."] if untimed else []),
    )
