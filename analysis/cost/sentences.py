"""The cost of training in sentences, with numbers and intervals."""

from collections.abc import Iterable, Iterator

from analysis.cost.devices import ALL_REDUCE, EXAMPLES, SHARES, DeviceCost
from analysis.cost.estimates import DEVICE_TIME, ENERGY, TIME, amount, text
from analysis.cost.rows import CostRow
from analysis.cost.step_costs import MEASURED, StepCost
from analysis.cost.study_cost import StudyCost
from analysis.fitting.estimates import REACH, counted, list_text, rounded, span_text
from analysis.measures.federated import step_unit
from analysis.measures.replicates import fitted_quantity

_STEADY = 2.0
"""Factor between the ends of the interval of a step time beyond which it is unsteady."""
_REASONS = {
    EXAMPLES: "the critical batch size: larger batches need more examples",
    SHARES: "small shares of a batch, which keep a device less busy",
    ALL_REDUCE: "the all-reduce of gradients",
}


def cost_sentences(cost: StudyCost) -> tuple[str, ...]:
    """Return the findings, one sentence each: verdicts first, then their basis."""
    parts = (
        *(disturbed_sentences, fastest_sentences, _throughput, _doubling, _under_tuned, _energy),
        *(_devices, _step_times, _unsteady, _evaluation, _intervals, _unbounded, _missing),
    )
    return tuple(sentence for part in parts for sentence in part(cost))


def disturbed_sentences(cost: StudyCost) -> Iterator[str]:
    """Yield the batch sizes at which other programs used cores that the timed threads lacked."""
    if disturbed := cost.costs.disturbed:
        most = max(row.cores_lacking or 0.0 for row in disturbed)
        yield (
            f"B = {_listed(disturbed)}: while steps were timed, other programs took up to "
            f"{most:.1f} cores from the {cost.costs.threads or 1} threads, so the times below are "
            "too long; run `cost` again when these programs have ended, or with fewer --threads."
        )


def _setting(cost: StudyCost) -> str:
    costs = cost.costs
    threads = counted(costs.threads, "threads") if costs.threads else ""
    return ", ".join(filter(None, (costs.device, threads, costs.precision)))


def fastest_sentences(cost: StudyCost) -> Iterator[str]:
    """Yield the fastest batch size on one device, and the smallest that is nearly as fast."""
    best, near = cost.fastest, cost.smallest_near
    if best is None or best.seconds is None or best.steps is None or best.step is None:
        yield "No batch size has both a step time and steps to target, so none can be recommended."
        return
    unit = step_unit(cost.analysis.study.config)
    yield (
        f"Fastest on one device: B = {best.batch_size}, {text(best.seconds, TIME)} to target, "
        f"{text(best.steps)} {unit} of {text(best.step.seconds, TIME)}{_as_fast(cost)}."
    )
    yield f"On one device the fastest batch size is also the cheapest: {_bill(best)}."
    if near is not None and near is not best and near.seconds is not None:
        yield (
            f"The smallest batch size within 10% of the fastest is B = {near.batch_size}: "
            f"{text(near.seconds, TIME)}, {_bill(near)}."
        )


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
    return hours if row.money is None else f"{hours}, {text(row.money)} at {row.price:g} an hour"


def _listed(rows: Iterable[CostRow | StepCost]) -> str:
    return ", ".join(str(row.batch_size) for row in rows)


def _throughput(cost: StudyCost) -> Iterator[str]:
    stop, timed = cost.throughput_stops, [row for row in cost.rows if row.step is not None]
    if stop is None or stop.examples_per_second is None or len(timed) == 1:
        return
    rate = f"B = {stop.batch_size}: {text(stop.examples_per_second)} examples/s"
    if stop is timed[-1]:
        yield f"Throughput still rises at the largest batch size, {rate}."
    else:
        yield f"Throughput stops rising at {rate}, within 10% of the most at any batch size."


def _doubling(cost: StudyCost) -> Iterator[str]:
    if cost.doublings:
        steps = [(f"{a.batch_size} to {b.batch_size}", a.multiples(b)) for a, b in cost.doublings]
        times = "; ".join(f"{which}: {text(at['seconds'])}" for which, at in steps)
        examples = "; ".join(f"{which}: {rounded(at['examples'].value)}" for which, at in steps)
        yield f"From one batch size to the next, the time to target is multiplied by: {times}."
        yield f"The examples to target are multiplied by: {examples}."


def _under_tuned(cost: StudyCost) -> Iterator[str]:
    ratios = [
        row.steps_found / row.steps.value for row in cost.beyond if row.steps_found and row.steps
    ]
    if ratios:
        span = span_text(rounded(min(ratios)), rounded(max(ratios)))
        yield (
            f"B = {_listed(cost.beyond)}: the best point found takes {span} times the steps of the "
            "estimated optimum, beyond its interval; run more trials there (search.trials)."
        )


def _energy(cost: StudyCost) -> Iterator[str]:
    known = [(row, row.joules) for row in cost.rows if row.joules is not None]
    if not known:
        yield "Energy is unknown: no driver reports it (NVML on a GPU, RAPL on a CPU)."
        return
    row, joules = min(known, key=lambda pair: pair[1].value)
    yield f"Lowest energy on one device: B = {row.batch_size}, {text(joules, ENERGY)} to target."


def _devices(cost: StudyCost) -> Iterator[str]:
    fastest, cheapest, near = cost.fastest_scaled, cost.cheapest_scaled, cost.cheapest_near
    link, devices = cost.terms.link, {row.devices for row in cost.scaling}
    if fastest and cheapest and near and devices != {1}:
        yield f"Fastest number of devices: {_scaled(fastest)}."
        yield f"Cheapest: {_scaled(cheapest)}."
        yield f"Cheapest within 10% of the fastest: {_scaled(near)}."
        yield _end_of_scaling(cost)
        if link is not None:
            on = "" if link.measured_on is None else f", as measured on {link.measured_on} GPUs"
            yield (
                f"An all-reduce is a ring over links of {link.bandwidth / 1e9:.3g} GB/s, with "
                f"{amount(link.latency, TIME)} for each message{on}; it does not overlap with a "
                "step."
            )
    if without := sorted({*cost.terms.devices} - devices):
        rows = cost.costs.rows
        why = (
            "no batch size that reached the target gives each of them "
            f"{span_text(rows[0].batch_size, rows[-1].batch_size)} examples, which were timed"
            if cost.scaling
            else "no time to target on one device is known to compare with"
        )
        yield f"Left out: {counted(', '.join(map(str, without)), 'devices')}, as {why}."


def _scaled(row: DeviceCost) -> str:
    money = "" if row.money is None else f", {text(row.money)} in money"
    return (
        f"{counted(row.devices, 'devices')} at B = {row.batch_size}, "
        f"{text(row.seconds, TIME)} to target, {text(row.device_seconds, DEVICE_TIME)}{money}"
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


def _step_times(cost: StudyCost) -> Iterator[str]:
    costs = cost.costs
    if costs.source != MEASURED:
        yield f"Step times come from {costs.source}, measured on {_setting(cost)}."
        return
    repeats = [row.repeats for row in costs.rows if row.repeats]
    yield (
        f"Steps were timed with one model at a time, on {_setting(cost)}: medians of "
        f"{span_text(min(repeats), max(repeats))} repeats, with their 95% intervals."
    )


def _unsteady(cost: StudyCost) -> Iterator[str]:
    wide = [
        row
        for row in cost.rows
        if row.step and row.step.seconds.high > _STEADY * row.step.seconds.low
    ]
    if cost.costs.source == MEASURED and wide:
        fewer = ", or with fewer --threads" if (cost.costs.threads or 1) > 1 else ""
        yield (
            f"B = {_listed(wide)}: the interval of the step time spans more than a factor of "
            f"{_STEADY:g}, probably because of other programs; run `cost` again when they have "
            f"ended{fewer}."
        )


def _evaluation(cost: StudyCost) -> Iterator[str]:
    known = [row for row in cost.costs.rows if row.evaluation_seconds is not None]
    if known and (seconds := known[0].evaluation_seconds) is not None:
        yield (
            f"A measurement on the validation set takes {amount(seconds, TIME)}, as long as "
            f"{rounded(seconds / known[0].seconds.value)} steps at B = "
            f"{known[0].batch_size}; the times to target include none."
        )


def _intervals(cost: StudyCost) -> Iterator[str]:
    analysis = cost.analysis
    if not cost.held:
        yield (
            "Steps to target have no interval: they are the fewest over trials, without "
            "replicates and at too few batch sizes to compare fits; set replicates.seeds and run "
            "`sweep` again."
        )
        return
    of = fitted_quantity(analysis.study, analysis.table)
    what = f"those of the curve fitted to the {of}" if cost.on_curve else f"the {of}"
    missing = "" if analysis.tuning is None else analysis.tuning.missing
    without = f"; none covers under-tuning: {missing}" if missing else ""
    yield (
        f"Steps to target are {what}; their 95% intervals cover {list_text(cost.held)}, and the "
        f"intervals of times also cover the spread of step times{without}."
    )


def _unbounded(cost: StudyCost) -> Iterator[str]:
    rows = [row for row in cost.rows if row.steps is not None and not row.steps.identified]
    if rows and cost.held:
        yield (
            f"B = {_listed(rows)}: the data do not bound the steps on both sides within a factor "
            f"of {REACH:g}; run more trials (search.trials) or seeds (replicates.seeds) there."
        )


def _missing(cost: StudyCost) -> Iterator[str]:
    if missed := [row for row in cost.rows if row.steps is None]:
        yield f"B = {_listed(missed)}: no steps to target, so no time to target."
    if untimed := [row for row in cost.rows if row.step is None]:
        yield f"B = {_listed(untimed)}: no step time is known."
