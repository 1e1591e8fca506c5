"""Numbers read from the tables: steps to target, replicates, budgets, scaling rules.

`analysis.measures.goals` is the only module that also fits a curve.
"""
