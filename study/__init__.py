"""Runs a study: one workload, one optimizer, many batch sizes, a search at each."""

DISTRIBUTION = "batchscale"
"""`batchscale.packages` recognizes our packages by this line."""
