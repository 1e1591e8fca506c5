"""From a study file to a resolved study.

What needs the workload, the optimizer or the data is decided here, before anything trains.
"""
