"""Examination of a workload by calling it: its state, its writes, the direction of its error.

Admission, the contract and the engine examine a workload here before anything is trained.
"""
