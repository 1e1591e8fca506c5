"""Runs a study: one workload, one optimizer, many batch sizes, a search at each."""

DISTRIBUTION = "batchscale"
"""`batchscale.packages` tells our packages from others of the same name by this line."""
