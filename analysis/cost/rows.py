"""The cost of training at one batch size, and its ratio to that at another."""

from dataclasses import dataclass

from analysis.cost.estimates import product, ratio
from analysis.cost.step_costs import StepCost
from analysis.fitting.estimates import Estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class CostRow:
    """The cost of training to the target at one batch size, on one device.

    Attributes:
        batch_size: examples per step.
        step: the cost of a step; None where it was not timed.
        steps: steps to target (`analysis.cost.steps`); None where the target was missed.
        steps_found: steps to target of the best point found: the median over fresh seeds where all
            batch sizes have one, else the fewest over trials; None where missed.
        examples_per_step: examples that a step uses.
        price: money per device-hour; None if not given.
    """

    batch_size: int
    step: StepCost | None
    steps: Estimate | None
    steps_found: float | None
    examples_per_step: int
    price: float | None

    @property
    def examples_per_second(self) -> Estimate | None:
        """Throughput of training steps."""
        if self.step is None:
            return None
        return self.step.seconds.inverse().times(self.examples_per_step)

    @property
    def examples(self) -> Estimate | None:
        """Examples to target."""
        return None if self.steps is None else self.steps.times(self.examples_per_step)

    @property
    def seconds(self) -> Estimate | None:
        """Time to target, without measurements on the validation set."""
        if self.steps is None or self.step is None:
            return None
        return product(self.steps, self.step.seconds)

    @property
    def seconds_found(self) -> float | None:
        """Time to target with the hyperparameters of the best point found."""
        if self.steps_found is None or self.step is None:
            return None
        return self.steps_found * self.step.seconds.value

    @property
    def device_hours(self) -> Estimate | None:
        """Time to target in hours."""
        return None if self.seconds is None else self.seconds.times(1 / 3600)

    @property
    def money(self) -> Estimate | None:
        """Price of the device-hours, in the price's currency."""
        if self.device_hours is None or self.price is None:
            return None
        return self.device_hours.times(self.price)

    @property
    def joules(self) -> Estimate | None:
        """Energy to target."""
        if self.steps is None or self.step is None or self.step.step_joules is None:
            return None
        return self.steps.times(self.step.step_joules)

    def multiples(self, larger: "CostRow") -> dict[str, Estimate]:
        """Return by what a larger batch size multiplies the cost; both have a time to target.

        Returns:
            The multiples of steps, step_seconds, seconds (so of device-hours and money too) and
            examples.
        """
        assert self.steps is not None
        assert self.step is not None
        assert larger.steps is not None
        assert larger.step is not None
        steps = ratio(larger.steps, self.steps)
        step_seconds = ratio(larger.step.seconds, self.step.seconds)
        return {
            "steps": steps,
            "step_seconds": step_seconds,
            "seconds": product(steps, step_seconds),
            "examples": steps.times(larger.examples_per_step / self.examples_per_step),
        }
