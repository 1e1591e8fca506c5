"""Curves of the models, and regimes read off points without noise: what fits are tested against."""

import numpy as np
from scipy.optimize import isotonic_regression

from analysis.fitting.edges import end_of_perfect_scaling, start_of_plateau
from analysis.fitting.regimes import regimes_between


def hyperbola(batch_size, s_min, e_min):
    """Return steps to target under McCandlish et al. 2018, eq. 2.11."""
    return s_min + e_min / np.asarray(batch_size, float)


def curve_of(model, batch_size, s_min, b_crit, exponent=1.0):
    """Return steps to target under a model, in the shape of `batch_size`."""
    x = np.log(b_crit / np.asarray(batch_size, float))
    return s_min * np.exp(model.rise(x, np.asarray(exponent, float)))


def crossings(sizes, steps):
    """Return the end of perfect scaling and the start of the plateau of points made monotonic."""
    log_sizes, log_steps = np.log(np.asarray(sizes, float)), np.log(np.asarray(steps, float))
    examples = isotonic_regression(log_sizes + log_steps).x - log_sizes
    falling = isotonic_regression(log_steps[::-1]).x[::-1]
    return (
        float(end_of_perfect_scaling(log_sizes, examples[None])[0]),
        float(start_of_plateau(log_sizes, falling[None])[0]),
    )


def find_regimes(sizes, steps, b_crits=()):
    return regimes_between(np.asarray(sizes, float), crossings(sizes, steps), b_crits)
