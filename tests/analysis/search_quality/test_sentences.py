import pandas as pd

from analysis.search_quality.sentences import quality_sentences


def table(*rows):
    """Return a quality table of rows that differ from a settled search as given."""
    settled = {
        "trials": 64,
        "reached": 20,
        "diverged": 0,
        "diverged_share": 0.0,
        "steps_before": 99,
        "steps": 100,
        "bracket": 0.01,
        "half": 32,
        "half_reach": 1.0,
        "gain": 0.02,
        "warm_gain": None,
        "search": "settled",
        "box": "interior",
        "edges": "",
        "walls": "",
    }
    rows = [{"batch_size": 2 ** (k + 1), **settled, **row} for k, row in enumerate(rows)]
    return pd.DataFrame(rows).astype(dict.fromkeys(("gain", "warm_gain", "bracket"), "Float64"))


FALLING = {"search": "still falling", "gain": 0.12}


def test_batch_sizes_with_the_same_verdict_share_a_sentence():
    rows = [{}, {"gain": 0.0}, {}, FALLING, {}, FALLING, {**FALLING, "gain": 0.2}]
    assert quality_sentences(table(*rows)) == (
        "B = 2 to 8, 32: the search is settled: half the trials would have taken 0 to 2% more "
        "steps.",
        "B = 16, 64, 128: still falling: half the 64 trials would have taken 12 to 20% more "
        "steps; run more trials (search.trials).",
        "At every batch size the best trials lie inside the searched box.",
    )


def test_the_share_that_diverged_is_reported():
    some, most = {"diverged": 8, "diverged_share": 0.125}, {"diverged": 48, "diverged_share": 0.75}
    assert quality_sentences(table({}, some))[-1] == (
        "At each batch size, 0 to 12% of the trials diverged."
    )
    assert quality_sentences(table(some, most, most))[-1].startswith("B = 4, 8: more than half")


def test_a_gain_of_zero_is_no_more_steps():
    assert quality_sentences(table({"gain": 0.0}))[0].endswith("would have taken no more steps.")


def test_edges_and_walls_are_named_with_their_remedy():
    edge = {"box": "edge", "edges": "lr low, momentum high"}
    wall = {"box": "wall", "walls": "effective_lr high"}
    words = quality_sentences(table(edge, {**edge, "edges": "lr low"}, wall, {}))[1:]
    assert words == (
        "B = 2, 4: the best trials crowd at the low end of lr; widen search.space.lr downward, or "
        "raise search.extend.",
        "B = 2: the best trials crowd at the high end of momentum; widen search.space.momentum "
        "upward, or raise search.extend.",
        "B = 8: the best trials lie where training begins to diverge, at the high end of "
        "lr / (1 - momentum); a wider range would not help there.",
    )


def test_too_few_hits_are_reported():
    few = {"search": "unknown", "gain": 0.01, "reached": 3}
    none = {"search": "unknown", "gain": None, "reached": 0, "steps": None, "bracket": None}
    lone = {"search": "unknown", "gain": None, "trials": 1, "reached": 1}
    words = quality_sentences(table(few, none))
    assert quality_sentences(table(lone))[0].startswith("B = 2: only 1 of 1 trial reached")
    assert words[0].startswith("B = 2: only 3 of 64 trials reached the target, too few to judge")
    assert words[1].startswith("B = 4: none of 64 trials reached the target: whether")


def test_a_wide_bracket_is_reported_unless_it_is_a_single_step():
    wide = {"bracket": 0.08, "steps_before": 92}
    single = {"bracket": 0.1, "steps": 10, "steps_before": 9}
    words = " ".join(quality_sentences(table(wide, single)))
    assert "B = 2: the bracket of the steps is 8% wide; measure more often" in words
    assert "B = 4" not in words


def test_sentences_stay_few_for_many_batch_sizes():
    rows = [FALLING if k % 3 else {} for k in range(17)]
    assert len(quality_sentences(table(*rows))) == 3
