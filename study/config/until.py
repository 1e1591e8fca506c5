"""How far a sweep continues past its plan, and the grants of batch sizes so far."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from study.config.sections import BatchSize, Count, Positive, Section
from study.config.space import Number


class UntilConfig(Section):
    """How far a sweep continues past its plan: more seeds or trials where they narrow b_crit."""

    b_crit: Annotated[Number, Field(gt=0, lt=10)] | None = None
    """Relative half-width of b_crit's interval at which the sweep ends, such as 0.15."""
    trial_steps: Positive | None = None
    """Maximum steps of all trials together; the plan itself is always completed."""
    hours: Annotated[Number, Field(gt=0)] | None = None
    """Maximum hours of training, summed over workers."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.b_crit is self.trial_steps is self.hours is None:
            raise ValueError("`until` must give b_crit, trial_steps or hours, got none; add one")
        return self


class Grant(Section):
    """Trials and seeds that `until` gives a batch size: totals, not additions to the study file."""

    batch_size: BatchSize
    trials: Count
    seeds: Count
