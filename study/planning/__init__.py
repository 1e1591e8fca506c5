"""From a study file to a resolved study.

Rules that need the workload, the optimizer or the data are applied here, before anything trains.
"""
