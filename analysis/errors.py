"""The one error that a user of the analysis can cause."""


class AnalysisError(ValueError):
    """Results that cannot be read or analysed as asked; it holds rule, value and remedy."""
