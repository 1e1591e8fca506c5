"""Curves of steps to target against batch size: models, likelihood, critical batch sizes, regimes.

Everything here works on arrays; reading steps to target from tables is `analysis.measures`.
"""
