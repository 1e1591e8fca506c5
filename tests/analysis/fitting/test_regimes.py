import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.fitting.estimates import Estimate
from analysis.fitting.regimes import ORDER, Regime, Verdict
from analysis.report.fits import regime_sentences
from tests.analysis.fitting.reading import crossings, find_regimes, hyperbola

QUADRATIC_SIZES = 4.0 ** np.arange(9)
SIZES_OF_FIVE = np.array([2.0, 16.0, 128.0, 1024.0, 8192.0])
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
    assert regime_sentences(regimes.record()) == (
        "Perfect scaling from B = 1 to 64.",
        "Diminishing returns from B = 256 to 1024.",
        "Plateau from B = 4096 to 65536.",
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


S, U, N = Verdict.SEEN, Verdict.NOT_RESOLVED, Verdict.NONE


@pytest.mark.parametrize(
    ("steps", "verdicts", "words"),
    [
        ([800, 400, 200, 100], (S, N, N), "over the whole measured range, B = 1 to 8"),
        ([800, 400, 200, 100], (S, N, N), "No plateau within the measured range"),
        ([100, 100, 100, 100], (N, N, S), "over the whole measured range, B = 1 to 8"),
        ([100, 100, 100, 100], (N, N, S), "No perfect scaling within the measured range"),
        ([800, 600, 400, 200], (U, S, U), "steps still fall up to B = 8, the only batch size"),
        ([800, 600, 400, 200], (U, S, U), "only B = 1 may lie in it"),
        ([800, 400, 100, 100], (S, U, S), "not resolved: no measured batch size lies"),
    ],
)
def test_sentences_name_the_regimes_that_are_not_seen(steps, verdicts, words):
    regimes = find_regimes([1, 2, 4, 8], steps)
    assert tuple(regimes.verdicts.values()) == verdicts
    assert any(words in sentence for sentence in regime_sentences(regimes.record()))


def test_one_batch_size_does_not_resolve_a_regime():
    # exact data of a hyperbola: 2 scales perfectly, and nothing says that it does not
    regimes = find_regimes([2, 16, 128, 1024, 8192], 200 * (1 + 60 / SIZES_OF_FIVE))
    assert tuple(regimes.verdicts.values()) == (U, S, S)
    assert regimes.b_perfect is None
    assert regimes.of(2) is Regime.NOT_RESOLVED
    assert regimes.spans()[0].regime is Regime.NOT_RESOLVED
    assert "Perfect scaling is not resolved" in regime_sentences(regimes.record())[0]


def test_two_batch_sizes_so_close_that_all_definitions_hold():
    regimes = find_regimes([100, 105], [50, 49])
    assert set(regimes.verdicts.values()) == {U}
    (sentence,) = regime_sentences(regimes.record())
    assert sentence.startswith("No regime is resolved")


@pytest.mark.parametrize(
    ("steps", "b_crit", "verdicts"),
    [
        ([800, 400, 200, 100], (80.0, math.inf), (S, N, N)),
        ([800, 400, 200, 100], (2.0, math.inf), (S, U, N)),
        ([800, 400, 200, 100], (0.5, math.inf), (S, U, U)),
        ([800, 400, 200, 100], (0.0, math.inf), (U, U, U)),
        ([100, 100, 100, 100], (0.0, 0.05), (N, N, S)),
        ([100, 100, 100, 100], (0.0, 4.0), (N, U, S)),
        ([100, 100, 100, 100], (0.0, 8.0), (U, U, S)),
        ([800, 400, 110, 100], (0.0, 4.0), (U, U, S)),
        ([800, 400, 110, 100], (1.0, math.inf), (S, U, U)),
        ([800, 400, 110, 100], (1.0, 4.0), (S, U, S)),
    ],
)
def test_noise_leaves_regimes_open(steps, b_crit, verdicts):
    estimate = Estimate(value=1.0, low=b_crit[0], high=b_crit[1])
    regimes = find_regimes([1, 2, 4, 8], steps, [estimate])
    assert tuple(regimes.verdicts.values()) == verdicts


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
    order = list(ORDER)
    seen = [regimes.of(size) for size in sorted((one, other))]
    places = [order.index(regime) for regime in seen if regime in order]
    assert places == sorted(places)
    spans = regimes.spans()
    assert spans[0].low == 1
    assert spans[-1].high == 2.0 ** (len(steps) - 1)
    assert all(left.high == right.low for left, right in zip(spans, spans[1:], strict=False))
    assert len(regime_sentences(regimes.record())) in {1, 3}


@given(st.floats(1e-2, 1e2))
def test_units_of_batch_size_scale_the_answer(factor):
    regimes = find_regimes(QUADRATIC_SIZES * factor, QUADRATIC_STEPS)
    assert regimes.b_perfect == pytest.approx(128 * factor, rel=0.01)
    assert regimes.b_plateau == pytest.approx(4096 * factor, rel=0.01)


def test_crossings_lie_within_the_range_or_at_a_limit():
    sizes = np.array([1.0, 2.0, 4.0, 8.0])
    assert crossings(sizes, 1 / sizes)[0] == np.inf
    assert crossings(sizes, np.ones(4))[1] == 0
    perfect_to, plateau_from = crossings(sizes, sizes**-0.5)
    assert 1 < perfect_to < 2
    assert 4 < plateau_from < 8
