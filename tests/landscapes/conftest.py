"""Heavy ball on the noisy quadratic, step by step."""

import numpy as np
import pytest


@pytest.fixture
def heavy_ball_steps():
    """Return a function that counts the steps of a point to a loss of 0.01; h_i = c_i = 1 / i."""

    def steps(lr, momentum, batch_size):
        h = 1 / np.arange(1, 101.0)
        update = np.array([[1 - lr * h, -lr * momentum + 0 * h], [h, momentum + 0 * h]])
        push = np.array([-lr, 1.0])
        moments = np.zeros((2, 2, h.size))
        moments[0, 0] = 1.0
        for step in range(1, 100_000):
            moments = np.einsum("ija,jka,lka->ila", update, moments, update)
            moments += np.multiply.outer(np.outer(push, push), h / batch_size)
            if (h * moments[0, 0]).sum() / 2 < 0.01:
                return step
        return np.inf

    return steps
