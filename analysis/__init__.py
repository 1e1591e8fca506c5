"""Reads the tables of a study: steps to target, fits, regimes, figures."""

DISTRIBUTION = "batchscale"
"""`batchscale.packages` recognizes our packages by this line."""
