import numpy as np
import pandas as pd

from analysis.measures.layers import changes, layer_sentences, spreads


def layer_table(sizes=(16, 256), layers=("0.weight", "0.bias", "2.weight")):
    """Return ratios of 4^layer / 4 at the start, a tenth of it at the end, falling as 1/sqrt(B)."""
    rows = [
        {
            "batch_size": size,
            "role": "search",
            "trial": 3,
            "moment": moment,
            "step": step,
            "layer": layer,
            "parameters": 10,
            "weight_norm": 2.0,
            "gradient_norm": 2.0 * ratio,
            "gradient_norm_sd": 0.1,
            "batches": 16,
            "ratio": ratio,
            "full_gradient_norm": 2.0 * ratio * np.sqrt(size) / 16,
            "full_ratio": ratio * np.sqrt(size) / 16,
        }
        for size in sizes
        for moment, step, factor in (("start", 0, 1.0), ("between", 5, 2.0), ("end", 40, 0.1))
        for place, layer in enumerate(layers)
        for ratio in [factor * 4.0**place / 4 / np.sqrt(size)]
    ]
    return pd.DataFrame(rows)


def test_the_spread_is_the_largest_ratio_over_the_smallest():
    found = spreads(layer_table())
    assert list(found["step"]) == [0, 5, 40] * 2
    np.testing.assert_allclose(found["spread"], 16)
    assert set(found["largest"]) == {"2.weight"}
    assert set(found["smallest"]) == {"0.weight"}
    np.testing.assert_allclose(found["noise"], [4, 4, 4, 1, 1, 1])


def test_sentences_cover_spread_change_batch_size_and_noise():
    table = layer_table()
    table.loc[(table["layer"] == "2.weight") & (table["moment"] == "end"), "ratio"] *= 3
    table.loc[(table["layer"] == "2.weight") & (table["batch_size"] == 16), "ratio"] *= 2
    words = layer_sentences(table)
    assert words[0] == (
        "At the start |g| / |w| of one layer is 16 (B = 256) to 32 (B = 16) times that of "
        "another: largest in 2.weight, smallest in 0.weight."
    )
    assert "At the end |g| / |w| of one layer is 48 (B = 256) to 96 (B = 16) times" in words[1]
    assert words[2] == (
        "From start to end the ratio changes by a factor of 0.1 (0.weight) to 0.3 (2.weight), "
        "medians over batch sizes."
    )
    assert "From B = 16 to 256 the median layer's ratio goes from 0.25 to 0.0625 at the" in words[3]
    assert words[4] == (
        "A mini-batch's gradient is 4 (start) and 4 (end) times the full gradient at B = 16, 1 "
        "and 1 at B = 256: beyond 1, the ratio measures noise."
    )
    assert len(words) == 5


def test_one_batch_size_has_fewer_sentences():
    words = layer_sentences(layer_table(sizes=(64,)))
    assert words[0].startswith("At the start |g| / |w| of one layer is 16 times that of another at")
    assert len(words) == 4
    assert not any("From B =" in sentence for sentence in words)


def test_an_unknown_ratio_is_named_and_counts_nowhere():
    table = layer_table()
    unknown = (table["layer"] == "0.bias") & (table["step"] == 0)
    table.loc[unknown, "ratio"] = np.nan
    assert layer_sentences(table)[-1] == (
        "No ratio where the weights are zero, as at the start of 0.bias."
    )
    assert set(changes(table)["layer"]) == {"0.weight", "2.weight"}


def test_a_table_without_any_ratio_names_its_layers():
    table = layer_table(layers=("0.weight",)).assign(ratio=np.nan)
    assert spreads(table).empty
    assert layer_sentences(table) == (
        "No ratio where the weights are zero, as at the start of 0.weight.",
    )
