"""The gradient norm of each layer relative to its weights, against batch size and over training.

A layer is one parameter tensor, so weights and biases count separately. LARS scales each layer's
step by the inverse of this ratio |g| / |w| (You, Gitman and Ginsburg 2017, arXiv:1708.03888). The
norm of g is the mean over several mini-batches of the trial's own batch size. It contains noise,
more so for small batches: E |g|^2 = |G|^2 + tr(S) / B, with the full gradient G and the covariance
S of the gradients of single examples (McCandlish et al. 2018, section 2.2).
"""

import numpy as np
import pandas as pd

ENDS = ("start", "end")


def layer_table(diagnostics: pd.DataFrame) -> pd.DataFrame:
    """Return the layers, with one row per moment and tensor and a column for each quantity."""
    rows = diagnostics[diagnostics["what"] == "layers"]
    key = ["batch_size", "moment", "step", "variant"]
    wide = rows.pivot_table(index=key, columns="quantity", values="value", sort=False)
    # a tensor that is always zero has no ratio
    wide = wide.reindex(columns=["gradient_norm", "full_gradient_norm", "ratio", "full_ratio"])
    return wide.reset_index().rename(columns={"variant": "layer"})


def spreads(table: pd.DataFrame) -> pd.DataFrame:
    """Return the spread of the ratios over layers, from a table of layers.

    Columns: batch_size, moment, step, spread (largest over smallest ratio), largest and smallest
    (their layers), median (of the ratios), noise (median over layers of the mini-batch gradient
    norm over the full one).
    """
    key = ["batch_size", "moment", "step"]
    rows = []
    for moment, layers in table[table["ratio"].notna()].groupby(key):
        ratio, noise = layers["ratio"], layers["gradient_norm"] / layers["full_gradient_norm"]
        extremes = layers["layer"].iloc[[int(ratio.argmax()), int(ratio.argmin())]]
        spread = ratio.max() / ratio.min()
        rows.append((*moment, spread, *extremes, np.median(ratio), np.median(noise)))
    columns = [*key, "spread", "largest", "smallest", "median", "noise"]
    return pd.DataFrame(rows, columns=columns).sort_values(
        ["batch_size", "step"], ignore_index=True
    )


def layer_sentences(table: pd.DataFrame) -> tuple[str, ...]:
    """Return sentences on a table of layers.

    They give the spread between layers at start and end, the change during training, the dependence
    on batch size, the share of noise, and the layers without a ratio.
    """
    spread = spreads(table)
    ends = {moment: spread[spread["moment"] == moment] for moment in ENDS}
    sentences = [_spread_sentence(moment, rows) for moment, rows in ends.items() if len(rows)]
    if all(len(rows) for rows in ends.values()):
        sentences.append(_change_sentence(table))
        sentences += [_growth_sentence(ends)] if spread["batch_size"].nunique() > 1 else []
        sentences.append(_noise_sentence(ends))
    without = table[table["ratio"].isna()]
    if len(without):
        names = ", ".join(dict.fromkeys(without["layer"]))
        sentences.append(f"No ratio where the weights are zero, as at the start of {names}.")
    return tuple(sentences)


def _spread_sentence(moment: str, rows: pd.DataFrame) -> str:
    ordered = rows.sort_values("spread")
    least, most = ordered.iloc[0], ordered.iloc[-1]
    if least["batch_size"] == most["batch_size"]:
        factor, where = f"{most['spread']:.3g} times", f" at B = {most['batch_size']}"
    else:
        factor = (
            f"{least['spread']:.3g} (B = {least['batch_size']}) to {most['spread']:.3g} "
            f"(B = {most['batch_size']}) times"
        )
        where = ""
    return (
        f"At the {moment} |g| / |w| of one layer is {factor} that of another{where}: largest in "
        f"{rows['largest'].mode().iloc[0]}, smallest in {rows['smallest'].mode().iloc[0]}"
        f"{' at most batch sizes' if len(rows) > 2 else ''}."
    )


def _change_sentence(table: pd.DataFrame) -> str:
    change = changes(table).groupby("layer", sort=False)["change"].median()
    return (
        f"From start to end the ratio changes by a factor of {change.min():.2g} "
        f"({change.idxmin()}) to {change.max():.2g} ({change.idxmax()})"
        + (", medians over batch sizes." if table["batch_size"].nunique() > 1 else ".")
    )


def changes(table: pd.DataFrame) -> pd.DataFrame:
    """Return each layer's ratio at the end over that at the start: batch_size, layer, change."""
    key = ["batch_size", "layer"]
    start, end = (table[table["moment"] == m].set_index(key)["ratio"] for m in ENDS)
    change = (end / start.reindex(end.index)).rename("change").dropna()
    return change.reset_index()


def _growth_sentence(ends: dict[str, pd.DataFrame]) -> str:
    first, last = ends["start"]["batch_size"].min(), ends["start"]["batch_size"].max()
    parts = []
    for moment, rows in ends.items():
        median = rows.set_index("batch_size")["median"]
        parts.append(f"{median[first]:.3g} to {median[last]:.3g} at the {moment}")
    return f"From B = {first} to {last} the median layer's ratio goes from {', from '.join(parts)}."


def _noise_sentence(ends: dict[str, pd.DataFrame]) -> str:
    least = {moment: rows.iloc[0] for moment, rows in ends.items()}
    most = {moment: rows.iloc[-1] for moment, rows in ends.items()}
    size, largest = least["start"]["batch_size"], most["start"]["batch_size"]
    text = (
        f"A mini-batch's gradient is {least['start']['noise']:.3g} (start) and "
        f"{least['end']['noise']:.3g} (end) times the full gradient at B = {size}"
    )
    if largest != size:
        text += f", {most['start']['noise']:.3g} and {most['end']['noise']:.3g} at B = {largest}"
    return f"{text}: beyond 1, the ratio measures noise."
