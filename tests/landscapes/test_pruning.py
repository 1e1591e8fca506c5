import numpy as np
import pytest

from tests.landscapes.judge import Judgment, b_crits
from tests.landscapes.pruning import judged, pruned_study
from tests.landscapes.quadratic import HELD_OUT, SETS, TUNED_ON, true_b_crit
from tests.landscapes.studies import simulated_study


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


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("landscape", [TUNED_ON[1], TUNED_ON[2], TUNED_ON[4]])
def test_pruning_does_not_change_the_estimate_of_under_tuning(landscape):
    truth, shares, reached = true_b_crit(landscape), {}, {}
    for make in (simulated_study, pruned_study):
        studies = [make(landscape, number) for number in range(SETS)]
        found = [b_crits(study)[1].estimate for study in studies]
        shares[make] = Judgment(np.array([[e.value, e.low, e.high] for e in found]) / truth)
        reached[make] = sum(study.trials["status"].eq("reached").sum() for study in studies)
    whole, pruned = shares.values()
    print(whole.coverage, pruned.coverage, whole.width, pruned.width, reached.values())
    assert pruned.coverage == pytest.approx(whole.coverage, abs=0.05)
    assert pruned.width == pytest.approx(whole.width, rel=0.05)
    assert reached[pruned_study] > 0.98 * reached[simulated_study]
