"""Sweeps on forked workers or under Ray. No other package imports Ray."""
