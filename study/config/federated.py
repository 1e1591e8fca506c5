"""The table `federated` of a study file: federated averaging."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from study.config.sections import Positive, Section
from study.config.space import Number


class FederatedConfig(Section):
    """Federated averaging over clients, each with a shard of the training set.

    The batch size of the study is the global one, clients x local batch; a step is a round.
    """

    clients: Positive | None = None
    """Number of clients; the local batch grows with the batch size."""
    local_batch_size: Positive | None = None
    """Examples in a client's batch; the number of clients grows with the batch size."""
    local_steps: Positive = 1
    """Steps of each client in a round."""
    shards: Literal["iid", "dirichlet"] = "iid"
    """How examples are shared among clients: at random, or with skewed labels."""
    alpha: Annotated[Number, Field(ge=1e-6)] | None = None
    """Concentration of the clients' class proportions; smaller values differ more."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.clients is None) == (self.local_batch_size is None):
            got = "neither" if self.clients is None else "both"
            raise ValueError(
                f"one of `clients` and `local_batch_size` must be given, got {got}; the batch size "
                "gives the other, as batch size = clients x local batch"
            )
        if (self.alpha is None) == (self.shards == "dirichlet"):
            got = "none; add it" if self.alpha is None else f"{self.alpha:g}; remove it"
            raise ValueError(
                '`alpha` must be given for shards = "dirichlet" and for no others; for '
                f"{self.shards!r}, got {got}"
            )
        return self

    def divides(self, batch_size: int) -> bool:
        """Return whether a batch size divides into whole local batches."""
        return batch_size % (self.clients or self.local_batch_size or 1) == 0

    def clients_at(self, batch_size: int) -> int:
        """Return the number of clients, >= 1, at a batch size for which `divides` is true."""
        return self.clients or batch_size // (self.local_batch_size or 1)
