"""Words, tables and JSON of random studies say the same; see `analysis.report.sentences`."""

import json
import math
import re
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from analysis.comparison.compare import compare
from analysis.comparison.report import comparison_markdown, comparison_record
from analysis.fitting.estimates import REACH, Estimate, rounded
from analysis.fitting.models import MODELS
from analysis.report.record import summary_record
from analysis.report.sentences import summary_sentences
from analysis.report.summary import analyze
from analysis.report.write import readable_table, summary_markdown
from tests.analysis.fitting.reading import curve_of

NUMBER = r"\d+(?:\.\d+)?"
QUANTITY = re.compile(
    rf"\b(S_min|E_min|alpha|g|b_\w+) (?:= ({NUMBER})(?: \w+)? \(({NUMBER})–({NUMBER})\)"
    rf"|([<>]) ({NUMBER})(?: \w+)? \((no upper bound|no lower bound)\)|(not identified))"
)
SPAN = re.compile(
    r"^(Perfect scaling|Diminishing returns|Plateau) "
    r"(?:over the whole measured range,|from|at) B = (\d+)(?: to (\d+))?"
)
OPEN = re.compile(r"^(Perfect scaling|Diminishing returns|The plateau) (?:is|are) not resolved")
NONE = re.compile(r"^No (perfect scaling|diminishing returns|plateau) within")


def random_steps(rng):
    """Return steps to target of a kind drawn at random; None where the target is missed."""
    count = int(rng.choice([1, 2, 3, 4, 6, 8], p=[0.1, 0.1, 0.2, 0.2, 0.3, 0.1]))
    sizes = 4.0 ** (rng.choice([0, 1, 2, 10]) + np.arange(count))
    knee = 10 ** rng.uniform(-1, 5)
    curves = [
        curve_of(MODELS["hyperbola"], sizes, 20.0, knee),
        curve_of(MODELS["smooth"], sizes, 20.0, knee, 5.0),
        curve_of(MODELS["power"], sizes, 20.0, knee, 1.5),
        np.full(count, 50.0),
        3000 * sizes**-0.5,
        rng.uniform(5, 5000, count),
    ]
    curve = curves[rng.integers(len(curves))]
    steps = curve * np.exp(rng.choice([0.0, 0.05, 0.3, 1.0]) * rng.standard_normal(count))
    missed = rng.random(count) < rng.choice([0.0, 0.2, 1.0], p=[0.5, 0.4, 0.1])
    steps = np.clip(np.ceil(steps), 2, 15_000).astype(int).tolist()
    return {
        int(size): None if miss else count
        for size, miss, count in zip(sizes, missed, steps, strict=True)
    }


def with_fresh_seeds(rng, study):
    """Add replicates of the best trials, some of which miss, and some of which are missing."""
    spread = rng.choice([0.05, 0.5])
    best = study.trials[study.trials["trial"].eq(3) & study.trials["steps"].notna()]
    rows = []
    for winner in best.to_dict("records"):
        for number in range(rng.choice([0, 1, 3, 5], p=[0.1, 0.1, 0.1, 0.7])):
            steps = max(1, int(winner["steps"] * np.exp(spread * rng.standard_normal() + 0.2)))
            missed = rng.random() < 0.2
            reached = {"steps": steps, "steps_before": steps - max(1, steps // 30)}
            ends = dict.fromkeys(reached) if missed else reached
            source = {"source_batch_size": winner["batch_size"], "source_role": "search"}
            status = {"status": "capped" if missed else "reached", "stopped_at": steps}
            own = {"role": "replicate", "trial": number, "source_trial": winner["trial"]}
            rows.append(winner | ends | source | status | own)
    trials = pd.concat([study.trials, pd.DataFrame(rows, columns=study.trials.columns)])
    trials = trials.reset_index(drop=True).astype(study.trials.dtypes.to_dict())
    config = {**study.config, "replicates": {"seeds": 5, "top": 1, "slack": 4.0}}
    return replace(study, config=config, trials=trials)


def without_momentum(study):
    space = {"lr": study.config["search"]["space"]["lr"], "beta1": 0.9}
    search = {**study.config["search"], "space": space}
    trials = study.trials.rename(columns={"momentum": "beta1"}).assign(beta1=0.9)
    return replace(study, config={**study.config, "search": search}, trials=trials)


def random_study(made, seed):
    rng = np.random.default_rng(seed)
    trials = int(rng.choice([3, 6, 16]))
    study = made(random_steps(rng), trials=max(trials, 4))
    if rng.random() < 0.3:
        study.config["search"]["trials"] = 24
    if rng.random() < 0.2:
        study.trials.loc[study.trials.index[::5], ["status", "message"]] = "failed", "Error: no"
        failed = study.trials["status"].eq("failed")
        study.trials.loc[failed, ["steps", "steps_before"]] = pd.NA
    if rng.random() < 0.6:
        study = with_fresh_seeds(rng, study)
    return without_momentum(study) if rng.random() < 0.4 else study


def known_quantities(record):
    """Return every quantity of a summary by name, as the words may write it."""
    known = {}
    for model, fit in (record["fits"] or {}).items():
        name = f"b_crit_{model}"
        symbol = MODELS[model].exponent
        for key, value in (
            ("S_min", fit["s_min"]),
            ("E_min", fit["e_min"]),
            (name, fit["b_crit"]),
            (symbol, fit["exponent"]),
        ):
            if value is not None:
                known.setdefault(key, []).append(value)
    for name, value in record["critical_batch_sizes"].items():
        known.setdefault(name, []).append(value)
    for goal in record["goals"]:
        if goal["b_crit"] is not None and goal["target"] == record["target"]:
            known.setdefault("b_crit", []).append(goal["b_crit"])
    return known


def assert_words_are_numbers_of_the_record(record):
    known = known_quantities(record)
    for sentence in record["sentences"]:
        for name, value, low, high, sign, bound, side, nothing in QUANTITY.findall(sentence):
            texts = [
                (
                    *(rounded(one[k]) if one["interval"] == "closed" else "" for k in ENDS),
                    bound_of(one),
                    one["interval"],
                )
                for one in known[name]
            ]
            kind = side or nothing or "closed"
            assert (value, low, high, f"{sign}{bound}", kind) in texts, sentence


ENDS = ("value", "low", "high")


def bound_of(one):
    if one["interval"] in ("closed", "not identified"):
        return ""
    assert one["value"] is None
    return f">{rounded(one['low'])}" if one["high"] is None else f"<{rounded(one['high'])}"


def assert_intervals_are_within_reach(record):
    for fit in (record["fits"] or {}).values():
        sizes = fit["batch_sizes"]
        for end in ("low", "high"):
            if fit["b_crit"][end] is not None:
                assert min(sizes) / REACH <= fit["b_crit"][end] <= max(sizes) * REACH
    for row in record["table"]:
        assert row["high"] is None or row["high"] <= REACH * 70_000
        closed = row["low"] is not None and row["high"] is not None
        assert (row["interval"] == "closed") == closed
        if closed:
            assert row["low"] <= row["high"]


def assert_regimes_agree(analysis, record):
    if record["regimes"] is None:
        assert not any(SPAN.match(s) or OPEN.match(s) for s in record["sentences"])
        return
    of, verdicts = record["regimes"]["of"], record["regimes"]["verdicts"]
    shown = dict(readable_table(analysis)[["B", "regime"]].itertuples(index=False, name=None))
    assert {size: regime for size, regime in shown.items() if regime != "-"} == of
    told = {}
    for sentence in record["sentences"]:
        if span := SPAN.match(sentence):
            told[span[1].lower()] = "seen"
            inside = [size for size, regime in of.items() if regime == span[1].lower()]
            assert (inside[0], inside[-1]) == (span[2], span[3] or span[2])
        elif unknown := OPEN.match(sentence):
            told[unknown[1].removeprefix("The ").lower()] = "not resolved"
        elif absent := NONE.match(sentence):
            told[absent[1]] = "none"
        if sentence.startswith("No regime is resolved"):
            told = dict.fromkeys(verdicts, "not resolved")
    assert told == verdicts
    for regime, verdict in verdicts.items():
        assert (regime in of.values()) == (verdict == "seen")
    unknown = " ".join(s for s in record["sentences"] if "identified by the" in s).lower()
    if "the plateau" in unknown:
        assert verdicts["plateau"] != "seen"
    if "perfect scaling" in unknown:
        assert verdicts["perfect scaling"] != "seen"


def assert_edges_agree(record):
    """b_perfect and b_plateau are numbers only where their regimes are seen."""
    if record["regimes"] is None:
        return
    verdicts = record["regimes"]["verdicts"]
    for name, regime in (("b_perfect", "perfect scaling"), ("b_plateau", "plateau")):
        if record["critical_batch_sizes"][name]["interval"] == "closed":
            assert verdicts[regime] == "seen"


def assert_misses_are_told(study, record):
    missed = [row for row in record["table"] if row["steps"] is None]
    for row in missed:
        (told,) = [
            s for s in record["sentences"] if s.startswith(f"B = {row['batch_size']}: no trial")
        ]
        assert f"{row['best_error']:.4g}" in told
    fitted = record["fitted"].startswith("medians")
    half = [row for row in record["table"] if row["median_bound"] is not None]
    told = [s for s in record["sentences"] if "half or more of the fresh seeds missed" in s]
    assert len(told) == (len(half) if fitted else 0)
    out = [s.split(":")[0] for s in record["sentences"] if "the fits leave it out" in s]
    assert out == [f"B = {size}" for size in record["left_out"]]
    target = record["target_for_all"]
    if missed and target is not None:
        assert any(f"--target {target:g}" in s for s in record["sentences"])
        assert analyze(study, target).table["steps"].notna().all()
    assert (target is None) or missed


def assert_unfinished_is_told(study, record):
    planned = study.config["search"]["trials"]
    searched = study.trials[study.trials["role"] == "search"].groupby("batch_size").size()
    missing = {int(size): int(planned - count) for size, count in searched.items()}
    told = {r["batch_size"]: r["trials"] for r in record["unfinished"] if r["role"] == "search"}
    assert told == {size: count for size, count in missing.items() if count}
    assert record["sentences"][0].startswith("Unfinished") == bool(record["unfinished"])
    total = sum(row["trials"] for row in record["unfinished"])
    assert not record["unfinished"] or f"at least {total} trials" in record["sentences"][0]


def assert_one_b_crit_or_a_reason(record):
    texts = {
        match[0]
        for sentence in record["sentences"]
        for match in QUANTITY.finditer(sentence)
        if match[1] == "b_crit"
    }
    reasons = [s for s in record["sentences"] if s.startswith("At this target, b_crit")]
    assert len(texts) <= 1 or reasons


LONG = (pytest.mark.slow, pytest.mark.long)


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=LONG if seed >= 7 else ()) for seed in range(60)]
)
def test_words_tables_and_json_agree(made, seed):
    study = random_study(made, seed)
    analysis = analyze(study)
    record = summary_record(analysis)
    again = json.loads(json.dumps(record, allow_nan=False))
    assert list(summary_sentences(again)) == record["sentences"]
    page = summary_markdown(analysis)
    assert all(f"- {sentence}" in page for sentence in record["sentences"])
    assert_words_are_numbers_of_the_record(record)
    assert_intervals_are_within_reach(record)
    assert_regimes_agree(analysis, record)
    assert_edges_agree(record)
    assert_misses_are_told(study, record)
    assert_unfinished_is_told(study, record)
    assert_one_b_crit_or_a_reason(record)
    for row in record["table"]:
        bounded = row["interval"] in {None, "closed"}
        at = rf"Interval of the median .* B = .*\b{row['batch_size']}\b.*: {row['interval']}\."
        assert bounded or row["steps"] is None or re.search(at, " ".join(record["sentences"]))
    if "momentum" not in study.trials:
        assert "momentum" not in page + json.dumps(record["table"] + record["scaling_rules"])
        assert "effective" not in json.dumps(record["table"] + record["scaling_rules"])
    told = " ".join(record["sentences"])
    assert not re.search(r"E_min [=<>] [\d.]+ steps", told)
    assert all(
        math.isfinite(Estimate.of(one).low) for one in record["critical_batch_sizes"].values()
    )


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=LONG if seed >= 3 else ()) for seed in range(24)]
)
def test_a_comparison_tests_only_what_is_identified(made, seed):
    names = ("first", "second", "third")
    found = compare({n: random_study(made, 100 * seed + k) for k, n in enumerate(names)})
    record = comparison_record(found)
    json.dumps(record, allow_nan=False)
    text = "\n".join(record["sentences"])
    closed = [
        study["name"]
        for study in record["studies"]
        if study["fits"] and study["critical_batch_sizes"]["b_crit"]["interval"] == "closed"
    ]
    tested = len(closed) > 1
    assert (record["equal_b_crit"] is not None) == tested
    assert bool(re.search(r"p [=<] [\d.]+", text)) == tested
    assert ("b_crit is not compared" in text) != tested
    pairs = {(ratio["under"], ratio["over"]) for ratio in record["b_crit_ratios"]}
    assert pairs == set(combinations(closed, 2))
    assert all(ratio["interval"] == "closed" for ratio in record["b_crit_ratios"])
    for study in found.studies:
        if study.fit is not None and study.name not in closed:
            label = re.escape(study.label)
            assert re.search(rf"(not identified in .*{label}|{label}.* left out)", text)
    shown = comparison_markdown(found)
    assert all(f"- {sentence}" in shown for sentence in record["sentences"])
