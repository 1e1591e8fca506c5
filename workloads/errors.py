"""The error that a workload's user can cause."""


class WorkloadError(ValueError):
    """A workload that cannot be used as asked; the message holds rule, value and remedy."""
