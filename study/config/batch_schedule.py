"""The table `batch_schedule` of a study file: a batch size that changes during a trial."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from study.config.sections import Section
from study.config.space import Number

_Stage = tuple[Annotated[Number, Field(ge=0, lt=1)], Annotated[Number, Field(gt=0, le=1024)]]
POWERS = {"same": 0.0, "square-root": 0.5, "linear": 1.0}


class BatchScheduleConfig(Section):
    """Batch sizes along a trial, as multiples of the study's batch size.

    Budgets, learning-rate schedules and warm-ups count examples: as many as the same number of
    steps takes at the study's batch size.
    """

    stages: tuple[_Stage, ...] | None = None
    """Pairs of a share of the budget's examples and the multiple of the batch size from there on;
    for a batch warm-up [[0.0, 0.25], [0.1, 0.5], [0.3, 1.0]]."""
    rule: Literal["seesaw"] | None = None
    """Instead of stages: where the learning-rate schedule halves the rate, the batch doubles and
    the rate falls by the square root of 2."""
    most: Annotated[Number, Field(ge=2, le=1024)] | None = None
    """Largest multiple under the rule; 8 if left out."""
    lr: Literal["same", "square-root", "linear"] = "square-root"
    """How the learning rate follows the multiple, in addition to its schedule."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.stages is None) == (self.rule is None):
            got = "neither" if self.rule is None else "both"
            raise ValueError(f"one of `stages` and `rule` must be given, got {got}")
        if self.rule is None and self.most is not None:
            raise ValueError("`most` must be left out if `stages` are given; they set multiples")
        if self.rule is not None and self.lr != "square-root":
            raise ValueError(
                f"`lr` must be left out if `rule` is given, got {self.lr!r}: the rule is "
                "square-root"
            )
        if self.stages is None:
            return self
        shares = [share for share, _ in self.stages]
        if not shares or shares[0] != 0 or shares != sorted(set(shares)):
            raise ValueError(f"the shares of `stages` must begin at 0 and rise, got {shares}")
        if 1.0 not in [multiple for _, multiple in self.stages]:
            raise ValueError(
                "one of `stages` must have the multiple 1, which is the study's batch size, got "
                f"{[multiple for _, multiple in self.stages]}"
            )
        return self
