"""The error that an unusable workload causes."""

from batchscale.errors import BatchscaleError


class WorkloadError(BatchscaleError):
    """A workload that cannot be used as requested."""
