"""The error raised for unusable results."""

from batchscale.errors import BatchscaleError


class AnalysisError(BatchscaleError):
    """Results that cannot be read or analyzed as requested."""
