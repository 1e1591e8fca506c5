"""The error that unusable results cause."""

from batchscale.errors import BatchscaleError


class AnalysisError(BatchscaleError):
    """Results that cannot be read or analyzed as requested."""
