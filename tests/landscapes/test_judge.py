import pytest

from tests.landscapes.judge import judged
from tests.landscapes.quadratic import HELD_OUT, TUNED_ON


@pytest.mark.slow
def test_the_interval_with_under_tuning_covers_where_that_without_does_not():
    # heavy ball, where under-tuning is large; of those landscapes the fastest
    fitted, tuned = judged([TUNED_ON[2]])
    print(fitted.coverage, tuned.coverage, fitted.error, tuned.error)
    assert fitted.coverage < 0.75
    assert 0.88 <= tuned.coverage <= 0.99
    assert tuned.error < fitted.error
    assert tuned.width < 10


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("landscapes", [TUNED_ON, HELD_OUT], ids=["tuned on", "held out"])
def test_coverage_over_the_whole_bank(landscapes):
    fitted, tuned = judged(landscapes)
    print(fitted.coverage, tuned.coverage, fitted.error, tuned.error)
    assert 0.88 <= tuned.coverage <= 0.995
    assert tuned.error < 0.6 * fitted.error
