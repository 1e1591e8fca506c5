"""Reads the tables of a study: steps to target, fits, regimes, figures."""

DISTRIBUTION = "batchscale"
"""`batchscale.packages` tells our packages from others of the same name by this line."""
