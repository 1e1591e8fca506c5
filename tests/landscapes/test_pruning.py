import numpy as np
import pytest

from tests.landscapes.pruning import judged
from tests.landscapes.quadratic import HELD_OUT, TUNED_ON


@pytest.mark.slow
def test_pruning_keeps_the_winners_and_never_costs_steps():
    # of the bank, where the best early lanes end above the target most often
    found = judged([TUNED_ON[2]], range(1))
    assert found.lost == 0
    assert found.share.max() < 1
    assert found.times_fewer > 1.4


@pytest.mark.slow
@pytest.mark.long
def test_pruning_over_the_whole_bank():
    found = judged([*TUNED_ON, *HELD_OUT], range(8, 10))
    print(found.lost, found.times_fewer, np.sort(found.share)[-3:])
    assert found.lost <= 2
    assert found.times_fewer > 1.6
    assert found.share.max() < 1.5
