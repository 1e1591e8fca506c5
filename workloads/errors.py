"""The error raised for an unusable workload."""

from batchscale.errors import BatchscaleError


class WorkloadError(BatchscaleError):
    """A workload that cannot be used as requested."""
