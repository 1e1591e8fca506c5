"""Reads the tables of a study: steps to target, fits, regimes, figures."""
