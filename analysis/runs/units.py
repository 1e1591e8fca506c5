"""What a step of somebody's runs counts, and how many updates that is."""

from dataclasses import dataclass

import pandas as pd

from analysis.errors import AnalysisError

UNITS = ("updates", "examples", "tokens")


@dataclass(frozen=True, kw_only=True, slots=True)
class Units:
    """What a step of the rows counts.

    Attributes:
        step: one of `UNITS`.
        tokens_per_example: of a sequence, where steps count tokens and batch sizes do not.
    """

    step: str = "updates"
    tokens_per_example: int | None = None

    def __post_init__(self) -> None:
        """Check the units before anything is read."""
        if self.step not in UNITS:
            raise AnalysisError(
                f"--step-unit must be one of {', '.join(UNITS)}, got {self.step!r}; convert others "
                "in the table"
            )
        if (self.step == "tokens") != (self.tokens_per_example is not None):
            raise AnalysisError(
                "--step-unit tokens and --tokens-per-example go together, got "
                f"{self.step} and {self.tokens_per_example}; where batch_size counts tokens too, "
                "use --step-unit examples"
            )
        if self.tokens_per_example is not None and self.tokens_per_example < 1:
            raise AnalysisError(
                f"--tokens-per-example must be at least 1, got {self.tokens_per_example}"
            )

    def updates(
        self, steps: "pd.Series[float]", batch_sizes: "pd.Series[float]"
    ) -> "pd.Series[float]":
        """Return steps as updates: those needed for so many examples, a last partial one too."""
        if self.step == "updates":
            return steps
        return -(-steps // (batch_sizes * (self.tokens_per_example or 1)))
