import pytest

from tests.landscapes.judge import judged
from tests.landscapes.quadratic import HELD_OUT, TUNED_ON


@pytest.mark.long
def test_the_headline_covers_where_seeds_alone_do_not():
    # heavy ball, where under-tuning is large; of those landscapes the fastest
    found = judged([TUNED_ON[2]], range(16))
    print(found.seeds.coverage, found.b_crit.coverage, found.seeds.error, found.b_crit.error)
    assert found.seeds.coverage < 0.75
    assert found.b_crit.coverage >= 0.88
    assert found.b_crit.error < found.seeds.error
    assert (found.b_crit.shares[:, 1] <= found.b_crit.shares[:, 0]).all()
    assert (found.b_crit.shares[:, 2] >= found.b_crit.shares[:, 0]).all()


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("landscapes", [TUNED_ON, HELD_OUT], ids=["tuned on", "held out"])
def test_coverage_over_the_whole_bank(landscapes):
    found = judged(landscapes)
    print(found.seeds.coverage, found.b_crit.coverage, found.seeds.error, found.b_crit.error)
    assert 0.9 <= found.b_crit.coverage <= 0.99
    assert found.b_crit.error < 0.6 * found.seeds.error
