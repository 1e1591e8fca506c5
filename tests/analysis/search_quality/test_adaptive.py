import pandas as pd
import pytest

from analysis.search_quality.adaptive import late_row, late_sentences


@pytest.fixture
def even():
    """Eight trials and two of an extension, which came later; rows are in no order."""
    steps = [300, 150, None, None, 200, None, 120, None, 110, 100]
    trials = pd.DataFrame(
        {
            "role": ["search"] * 8 + ["extension"] * 2,
            "trial": [*range(8), 0, 1],
            "steps": pd.array(steps, "Int64"),
            "lr": [0.5] * 8 + [0.02, 0.04],
        }
    )
    return trials.sample(frac=1, random_state=0)


def test_the_later_half_is_judged_by_what_it_gained(even):
    assert late_row(even, ["lr"]) == {"late_gain": 0.5, "looked": "lr 0.025 to 0.035"}
    missed = even.assign(steps=even["steps"].where(even["steps"] < 130))
    assert late_row(missed, [])["late_gain"] is None
    assert late_row(even.head(0), ["lr"]) == {"late_gain": None, "looked": ""}


def test_sentences_give_gain_over_batch_sizes_and_places_at_both_ends():
    table = pd.DataFrame(
        {"batch_size": [4, 8, 16], "late_gain": [0.5, 0.1, 0.0], "looked": ["lr 1", "lr 2", "lr 3"]}
    )
    gain, looked = late_sentences(table)
    assert "took 0% to 50% more steps than all, 20% on average" in gain
    assert "lr 1 at B = 4, and at lr 3 at B = 16." in looked
    assert not list(late_sentences(table.assign(late_gain=None, looked="")))
    assert not list(late_sentences(table[["batch_size"]]))
