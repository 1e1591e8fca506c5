import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import AnalysisError
from analysis.fitting.models import hyperbola
from analysis.fitting.regimes import Regime, crossings, find_regimes

QUADRATIC_SIZES = 4.0 ** np.arange(9)
QUADRATIC_STEPS = [32108, 8050, 2037, 536, 169, 94, 77, 72, 70]


def test_noisy_quadratic_model():
    regimes = find_regimes(QUADRATIC_SIZES, QUADRATIC_STEPS)
    assert regimes.b_perfect == pytest.approx(128, rel=0.01)
    assert regimes.b_plateau == pytest.approx(4096, rel=0.01)
    assert [regimes.of(size) for size in QUADRATIC_SIZES] == (
        [Regime.PERFECT] * 4 + [Regime.DIMINISHING] * 2 + [Regime.PLATEAU] * 3
    )
    assert [(span.regime, round(span.low), round(span.high)) for span in regimes.spans()] == [
        (Regime.PERFECT, 1, 128),
        (Regime.DIMINISHING, 128, 4096),
        (Regime.PLATEAU, 4096, 65536),
    ]
    assert regimes.sentences() == (
        "Perfect scaling up to b_perfect = 128.",
        "Diminishing returns from B = 256 to 1024.",
        "Plateau from b_plateau = 4100 on.",
    )


def test_margins_on_an_exact_hyperbola():
    # from B_ref = 1 and b_crit = 100: 1.2 * 1 + 0.2 * 100, and 1 + 100 / B = 1.1 at a wide range
    sizes = np.geomspace(1, 1e6, 400)
    regimes = find_regimes(sizes, hyperbola(sizes, 1.0, 100.0))
    assert regimes.b_perfect == pytest.approx(21.2, rel=0.01)
    assert regimes.b_plateau == pytest.approx(1000, rel=0.01)


def test_better_than_perfect_scaling_does_no_harm():
    # examples to target fall at first, as with momentum on the quadratic
    sizes = 2.0 ** np.arange(8)
    steps = np.array([1200, 590, 280, 141, 72, 50, 48, 47])
    regimes = find_regimes(sizes, steps)
    assert regimes.b_perfect is not None
    assert 16 < regimes.b_perfect < 32


def test_one_slow_point_in_the_middle_does_not_end_perfect_scaling():
    sizes = 2.0 ** np.arange(9)
    clean = hyperbola(sizes, 1.0, 10_000.0)
    noisy = clean * np.where(sizes == 8, 1.3, 1.0)
    assert find_regimes(sizes, noisy).b_perfect is None


@pytest.mark.parametrize(
    ("steps", "seen", "words"),
    [
        ([800, 400, 200, 100], (True, False), "its end b_perfect is not seen"),
        ([800, 400, 200, 100], (True, False), "No plateau within the measured range"),
        ([100, 100, 100, 100], (False, True), "its start b_plateau is not seen"),
        ([100, 100, 100, 100], (False, True), "No perfect scaling within the measured range"),
        ([800, 600, 400, 200], (False, False), "steps still fall at B = 8"),
        ([800, 600, 400, 200], (False, False), "already rise at B = 1"),
        ([800, 400, 100, 100], (True, True), "not resolved: no measured batch size lies"),
    ],
)
def test_sentences_name_the_regimes_that_are_not_seen(steps, seen, words):
    regimes = find_regimes([1, 2, 4, 8], steps)
    assert (regimes.perfect_seen, regimes.plateau_seen) == seen
    assert any(words in sentence for sentence in regimes.sentences())


def test_a_regime_with_one_point_is_not_seen():
    regimes = find_regimes([1, 2, 4, 8], [800, 600, 400, 200])
    assert regimes.b_perfect is None
    assert regimes.b_plateau is None
    assert {regimes.of(size) for size in (1, 2, 4, 8)} == {Regime.DIMINISHING}


def test_a_sharp_knee_has_no_diminishing_returns():
    regimes = find_regimes([8, 16, 32, 64, 128, 256], [80, 40, 20, 10, 10, 10])
    assert regimes.b_plateau < regimes.b_perfect
    assert [span.regime for span in regimes.spans()] == [Regime.PERFECT, Regime.PLATEAU]


@given(
    st.lists(st.floats(1, 1e5), min_size=2, max_size=12),
    st.floats(0.5, 1e5),
    st.floats(0.5, 1e5),
)
def test_regimes_follow_one_another(steps, one, other):
    regimes = find_regimes(2.0 ** np.arange(len(steps)), steps)
    order = list(Regime)
    small, large = sorted((one, other))
    assert order.index(regimes.of(small)) <= order.index(regimes.of(large))
    spans = regimes.spans()
    assert spans[0].low == 1
    assert spans[-1].high == 2.0 ** (len(steps) - 1)
    assert all(left.high == right.low for left, right in zip(spans, spans[1:], strict=False))
    assert len(regimes.sentences()) == 3


@given(st.floats(1e-2, 1e2))
def test_units_of_batch_size_scale_the_answer(factor):
    regimes = find_regimes(QUADRATIC_SIZES * factor, QUADRATIC_STEPS)
    assert regimes.b_perfect == pytest.approx(128 * factor, rel=0.01)
    assert regimes.b_plateau == pytest.approx(4096 * factor, rel=0.01)


@pytest.mark.parametrize("sizes", [[4, 2], [2, 2], [2]])
def test_batch_sizes_must_rise(sizes):
    with pytest.raises(AnalysisError, match="in rising order, got .*; sort them"):
        find_regimes(sizes, [10] * len(sizes))


def test_crossings_lie_within_the_range_or_at_a_limit():
    log_sizes = np.log([1.0, 2.0, 4.0, 8.0])
    assert crossings(log_sizes, -log_sizes)[0] == np.inf
    assert crossings(log_sizes, 0 * log_sizes)[1] == 0
    perfect_to, plateau_from = crossings(log_sizes, -log_sizes / 2)
    assert 1 < perfect_to < 2
    assert 4 < plateau_from < 8
