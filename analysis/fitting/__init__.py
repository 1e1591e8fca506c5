"""Curves of steps to target against batch size: models, likelihood, critical batch sizes, regimes.

Everything here works on arrays; `analysis.measures` reads steps to target from the tables.
"""
