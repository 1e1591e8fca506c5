"""Runs a study: one workload, one optimizer, many batch sizes, a search at each."""
