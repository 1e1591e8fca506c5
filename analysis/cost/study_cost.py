"""The cost of training to the target: steps to target times the cost of a step."""

import json
import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from pydantic import TypeAdapter

from analysis.cost.devices import DeviceCost, Link, scaled
from analysis.cost.estimates import ratio
from analysis.cost.rows import CostRow
from analysis.cost.step_costs import MAXIMUM, MINIMUM, StepCosts, read_costs
from analysis.cost.steps import found_steps, steps_of
from analysis.errors import AnalysisError
from analysis.fitting.critical import FORM
from analysis.measures.batch_plan import is_planned
from analysis.measures.federated import examples_per_step, is_federated
from analysis.report.summary import Analysis
from analysis.tables.files import as_written, read_file
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import COST_SUMMARY_FILE

MAX_DEVICES = 10**9
NEAR = 1.1
"""Factor from the least time, or the highest throughput, within which a batch size is near it."""
_MIN_EFFICIENCY = 0.5
"""Efficiency below which strong scaling is said to have ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """The price of a device, and the devices that a batch may be split over."""

    price: float | None = None  # money per device-hour, > 0
    devices: tuple[int, ...] = ()  # numbers of devices, ascending; empty for one device only
    link: Link | None = None  # between the devices; needed for more than one

    def __post_init__(self) -> None:
        """Refuse an impossible price or number of devices, and devices without a link."""
        if self.price is not None and not MINIMUM <= self.price <= MAXIMUM:
            raise AnalysisError(
                f"--price must be a number from {MINIMUM:g} to {MAXIMUM:g}, got {self.price:g}"
            )
        wrong = [count for count in self.devices if not 1 <= count <= MAX_DEVICES]
        if wrong:
            raise AnalysisError(
                f"--devices must be 1 to {MAX_DEVICES:,} each, got {wrong[0]}; leave it out"
            )
        if self.link is None and any(count > 1 for count in self.devices):
            raise AnalysisError(
                f"--devices up to {max(self.devices)} needs the link between them; give the "
                "bandwidth of each device's link with --bandwidth, and the latency of a message "
                "with --latency"
            )


@dataclass(frozen=True, kw_only=True)
class StudyCost:
    """The cost of training to the target at every batch size of a study.

    Attributes:
        analysis: the analysis that the steps to target come from.
        costs: the cost of a step.
        terms: price and devices.
        rows: one per batch size of the study, ascending.
        held: what the intervals of steps cover, such as `seeds`; empty without intervals.
        scaling: time to target on each number of devices; empty where not asked for.
    """

    analysis: Analysis
    costs: StepCosts
    terms: Terms
    rows: tuple[CostRow, ...]
    held: tuple[str, ...]
    scaling: tuple[DeviceCost, ...] = ()

    @property
    def on_curve(self) -> bool:
        """Whether steps are read off the fitted curve, so estimate the best points there are."""
        return FORM in self.held

    @cached_property
    def timed(self) -> tuple[CostRow, ...]:
        """The rows with a time to target."""
        return tuple(row for row in self.rows if row.seconds is not None)

    @property
    def fastest(self) -> CostRow | None:
        """The row with the least time to target on one device, which also costs the least money."""
        return min(self.timed, key=_time, default=None)

    @property
    def as_fast(self) -> tuple[CostRow, ...]:
        """Other rows that their intervals do not show to be slower than the fastest."""
        best = self.fastest
        if best is None or best.seconds is None or not self.held:
            return ()
        others = [(row, row.seconds) for row in self.timed if row is not best and row.seconds]
        return tuple(row for row, own in others if ratio(own, best.seconds).low <= 1)

    @property
    def smallest_near(self) -> CostRow | None:
        """The smallest batch size whose time to target is within 10 % of the least."""
        least = min(map(_time, self.timed), default=0.0)
        return next((row for row in self.timed if _time(row) <= NEAR * least), None)

    @property
    def beyond(self) -> tuple[CostRow, ...]:
        """Under-tuned rows: the best point found takes more steps than the interval of `steps`."""
        found = [(row, row.steps_found, row.steps) for row in self.rows]
        return tuple(row for row, own, best in found if own and best and own > best.high)

    @property
    def throughput_stops(self) -> CostRow | None:
        """The smallest batch size whose throughput is within 10 % of the highest."""
        rates = [(row, row.examples_per_second) for row in self.rows]
        known = [(row, rate.value) for row, rate in rates if rate is not None]
        most = max((rate for _, rate in known), default=0.0)
        return next((row for row, rate in known if NEAR * rate >= most), None)

    @property
    def doublings(self) -> tuple[tuple[CostRow, CostRow], ...]:
        """Pairs of successive rows with a time to target."""
        return tuple(pairwise(self.timed))

    @property
    def fastest_scaled(self) -> DeviceCost | None:
        """The number of devices with the least time to target."""
        return min(self.scaling, key=lambda row: row.seconds.value, default=None)

    @property
    def cheapest_scaled(self) -> DeviceCost | None:
        """The number of devices with the fewest device-hours to target."""
        return min(self.scaling, key=lambda row: row.device_hours.value, default=None)

    @property
    def ended(self) -> DeviceCost | None:
        """The least number of devices with less than half of a perfect speed-up."""
        return next((row for row in self.scaling if row.efficiency < _MIN_EFFICIENCY), None)

    @property
    def cheapest_near(self) -> DeviceCost | None:
        """The number of devices with the fewest device-hours within 10 % of the least time."""
        least = min((row.seconds.value for row in self.scaling), default=0.0)
        near = [row for row in self.scaling if row.seconds.value <= NEAR * least]
        return min(near, key=lambda row: row.device_hours.value, default=None)


def cost_of(folder: ResultsFolder, analysis: Analysis) -> StudyCost | None:
    """Return the cost of training from the step times in a results folder; None without any.

    Price and devices are those of the latest `batchscale cost`.
    """
    costs = read_costs(folder)
    return None if costs is None else join_costs(analysis, costs, _recorded_terms(folder))


def check_joinable(analysis: Analysis, terms: Terms) -> None:
    """Refuse a batch schedule, and a federated study on devices, before anything is timed."""
    config = analysis.study.config
    if is_planned(config):
        raise AnalysisError(
            "a cost needs steps of one batch size, got a study whose batch_schedule changes the "
            "batch during a trial; give a study of fixed batch sizes"
        )
    if terms.devices and is_federated(config):
        raise AnalysisError(
            "--devices splits the batch of one model, got a federated study, whose clients are "
            "already separate devices; leave it out"
        )


def join_costs(analysis: Analysis, costs: StepCosts, terms: Terms) -> StudyCost:
    """Return the cost of training at every batch size of an analysis.

    Raises:
        AnalysisError: no batch size of the study was timed, or the study or its devices have no
            such cost.
    """
    check_joinable(analysis, terms)
    steps, covered = steps_of(analysis)
    found = found_steps(analysis)
    config = analysis.study.config
    rows = tuple(
        CostRow(
            batch_size=size,
            step=costs.at(size),
            steps=steps.get(size),
            steps_found=found.get(size),
            examples_per_step=examples_per_step(config, size),
            price=terms.price,
        )
        for size in map(int, analysis.table["batch_size"])
    )
    if all(row.step is None for row in rows):
        listed = ", ".join(str(row.batch_size) for row in rows)
        raise AnalysisError(
            f"step times must be of batch sizes of the study, {listed}, got none of them in "
            f"{costs.source}; time at least one of these"
        )
    scaling = scaled(steps, costs, terms.devices, terms.link, terms.price) if terms.devices else ()
    return StudyCost(
        analysis=analysis, costs=costs, terms=terms, rows=rows, held=covered, scaling=scaling
    )


def _recorded_terms(folder: ResultsFolder) -> Terms:
    if not folder.exists(COST_SUMMARY_FILE):
        return Terms()
    content = read_file(folder, COST_SUMMARY_FILE)
    with as_written(folder, COST_SUMMARY_FILE):
        return TypeAdapter(Terms).validate_python(json.loads(content)["terms"])


def _time(row: CostRow) -> float:
    return math.inf if row.seconds is None else row.seconds.value
