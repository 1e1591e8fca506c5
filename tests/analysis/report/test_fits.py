import numpy as np
import pytest

from analysis.fitting.critical import critical_batch_sizes
from analysis.fitting.fit import Fits, fit, fit_all
from analysis.fitting.models import MODELS
from analysis.fitting.points import Points
from analysis.report.fits import (
    critical_record,
    fit_sentences,
    fits_record,
    unexplained_sentences,
    unidentified_sentences,
)
from tests.analysis.fitting.reading import curve_of, hyperbola

SIZES = 4.0 ** np.arange(9)
QUADRATIC = [32108, 8050, 2037, 536, 169, 94, 77, 72, 70]


def sentences_of(sizes, steps, missed=None):
    fits = fit_all(Points.of(sizes, steps, missed))
    return fit_sentences(fits_record(fits), critical_record(critical_batch_sizes(fits)))


def unidentified(name, found):
    fits = Fits(by_name={"hyperbola": found, name: found}, missing={})
    return tuple(unidentified_sentences(name, fits_record(fits)["fits"][name]))


def test_both_curves_are_named_where_the_best_is_no_hyperbola():
    b_crit, of_fit, critical, hyperbola_text, best_text, choice = sentences_of(SIZES, QUADRATIC)
    assert b_crit.startswith("b_crit = 4")
    assert "; 95% interval for seeds and form of the curve; " in b_crit
    assert b_crit.endswith("does not cover under-tuning.")
    assert of_fit.startswith("From the smooth fit alone: ")
    assert hyperbola_text.startswith("S(B) = S_min + E_min / B: S_min = 68 steps (63")
    assert best_text.startswith("S(B) = (S_min^g + (E_min / B)^g)^(1/g): S_min = 72 steps (69")
    assert "g = 1.2 (1.1" in best_text
    assert choice == "Lowest AICc: smooth (differences: hyperbola +11.2, power +8.6, smooth +0.0)."
    for name in (
        "b_crit_hyperbola",
        "b_crit_power",
        "b_crit_smooth",
        "b_20",
        "b_diversity",
        "b_perfect",
        "b_plateau",
    ):
        assert f"{name} = " in critical


def test_the_number_of_lower_bounds_is_named():
    steps = np.minimum(QUADRATIC, 20_000)
    found = sentences_of(SIZES, steps, steps == 20_000)
    (curve,) = [text for text in found if text.startswith("S(B) = S_min + E_min / B: ")]
    assert "log-normal spread of " in curve
    assert curve.endswith("; 1 lower bound among 9 points.")


def test_models_not_fitted_are_named_with_the_reason():
    found = sentences_of(SIZES[:4], QUADRATIC[:4])
    assert "Too few points to compare models: AICc needs at least 5." in found
    assert (
        "Not fitted: power and smooth, which need at least 6 batch sizes that reached the target; "
        "there are 4." in found
    )


def test_models_that_fit_about_equally_well_are_named():
    rng = np.random.default_rng(0)
    steps = curve_of(MODELS["smooth"], SIZES, 20.0, 200.0, 1.3) * np.exp(
        0.15 * rng.standard_normal(9)
    )
    choice = next(text for text in sentences_of(SIZES, steps) if text.startswith("Lowest AICc"))
    assert "fit about equally well" in choice


@pytest.mark.parametrize(
    ("steps", "what", "bound"),
    [
        (6000 / SIZES[:6], "The plateau is not identified", "b_crit_hyperbola > "),
        (np.full(6, 50.0), "Perfect scaling is not identified", "b_crit_hyperbola < "),
    ],
)
def test_what_is_not_identified_is_named_with_its_bound(steps, what, bound):
    (sentence,) = unidentified("hyperbola", fit(Points.of(SIZES[:6], steps)))
    assert what in sentence
    assert bound in sentence
    exponent = unidentified("smooth", fit(Points.of(SIZES[:6], steps), MODELS["smooth"]))[-1]
    assert exponent.startswith("The exponent g of the smooth fit is not identified")


def test_no_sentence_where_all_is_identified():
    exact = fit(Points.of(SIZES, hyperbola(SIZES, 20, 9000)))
    assert unidentified("hyperbola", exact) == ()


def test_records_are_plain_with_null_for_no_bound():
    fits = fit_all(Points.of(SIZES[:6], 6000 / SIZES[:6] * [1.0, 1.01, 0.99, 1.0, 1.01, 1.0]))
    record = fits_record(fits)
    assert record["fits"]["hyperbola"]["b_crit"]["high"] is None
    assert record["fits"]["hyperbola"]["exponent"] is None
    assert set(record["fits"]["power"]["exponent"]) == {"value", "low", "high", "interval"}
    assert record["chosen"] in record["fits"]
    critical = critical_record(critical_batch_sizes(fits))
    assert set(critical["b_20"]) == {"value", "low", "high", "interval", "note"}
    assert fits_record(None)["fits"] is None


def test_an_exponent_above_one_is_explained():
    sizes = 2.0 ** np.arange(12)
    found = sentences_of(sizes, curve_of(MODELS["power"], sizes, 20.0, 60.0, 1.5))
    (curve,) = [text for text in found if text.startswith("S(B) = S_min + c / B^alpha: ")]
    assert "S_min = 20 steps" in curve
    assert "b_crit_power = 60" in curve
    assert "E_min" not in curve
    assert any("alpha above 1 is not a property of training" in sentence for sentence in found)
    below = sentences_of(sizes, curve_of(MODELS["power"], sizes, 20.0, 60.0, 0.8))
    assert not any("not a property of training" in sentence for sentence in below)


def test_steps_that_no_curve_explains_are_reported():
    (words,) = unexplained_sentences({"unexplained": [256, 1024], "unit": "rounds"})
    assert words.startswith("B = 256, 1024: more than 3 times the rounds that a curve from")
    assert not [*unexplained_sentences({"unit": "steps"})]
