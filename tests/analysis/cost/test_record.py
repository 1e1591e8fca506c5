"""Words, tables, JSON and figures of a cost say the same."""

import io
import json
import re

import pandas as pd
import pytest
from rich.console import Console

from analysis.cost.devices import Link
from analysis.cost.estimates import TIME, text
from analysis.cost.record import (
    cost_record,
    print_costs,
    readable_costs,
    readable_devices,
    write_cost,
)
from analysis.cost.sentences import cost_sentences
from analysis.cost.study_cost import cost_of
from analysis.errors import AnalysisError
from analysis.figures.one_study.costs import COST_FIGURES
from analysis.tables.folder import ResultsFolder

TERMS = {
    "price": 7.0,
    "devices": (1, 4, 64),
    "link": Link(bandwidth=1e10, latency=1e-5, parameters=10**6),
}


@pytest.fixture
def found(cost, costs):
    made = costs(step_joules=3.0, evaluation_seconds=0.1, memory=2 * 10**9, threads=2)
    return cost(made=made, **TERMS)


def test_sentences_tables_and_figures_agree_with_the_record(found):
    content = json.loads(json.dumps(cost_record(found), allow_nan=False))
    table = readable_costs(found).set_index("B")
    words = cost_sentences(found)
    assert content["sentences"] == list(words)
    drawn = COST_FIGURES["cost"].data(found)
    for row, own in zip(content["rows"], found.rows, strict=True):
        assert row["seconds"]["value"] == own.seconds.value
        shown = table.loc[str(row["batch_size"])]
        assert f"{shown['time']} ({shown['95% CI']})" == text(own.seconds, TIME)
        points = drawn[(drawn["batch_size"] == row["batch_size"]) & (drawn["series"] == "best")]
        for name, value, low, high in points[["quantity", "value", "low", "high"]].itertuples(
            index=False
        ):
            assert row[name] == {"value": value, "low": low, "high": high}
    fastest = next(
        row for row in content["rows"] if row["batch_size"] == content["verdicts"]["fastest"]
    )
    assert fastest["seconds"]["value"] == min(row["seconds"]["value"] for row in content["rows"])
    assert words[0].startswith(f"Fastest on one device: B = {fastest['batch_size']}, ")
    assert text(found.fastest.seconds, TIME) in words[0]
    told = re.search(r"B = ([\d, ]+) may be as fast", words[0])
    assert [int(size) for size in told[1].split(", ")] == content["verdicts"]["may_be_as_fast"]
    assert f"at {TERMS['price']:g} an hour" in words[1]
    assert any("2 threads" in sentence for sentence in words)


def test_sentences_tables_and_figures_of_devices_agree(found):
    content = cost_record(found)
    table = readable_devices(found)
    assert list(table["devices"]) == ["1", "4", "64"]
    drawn = COST_FIGURES["cost_devices"].data(found)
    for row, shown, (_, point) in zip(
        content["devices"], table.to_dict("records"), drawn.iterrows(), strict=True
    ):
        assert str(row["batch_size"]) == shown["B"]
        assert point["seconds"] == row["seconds"]["value"]
        assert point["perfect"] == pytest.approx(
            content["devices"][0]["seconds"]["value"] / row["devices"]
        )
    words = " ".join(cost_sentences(found))
    for key, start in (
        ("fastest_on_devices", "Fastest number of devices"),
        ("cheapest_on_devices", "Cheapest"),
        ("cheapest_within_10_percent_on_devices", "Cheapest within 10% of the fastest"),
    ):
        at = content["verdicts"][key]
        plural = "s" if at["devices"] > 1 else ""
        assert f"{start}: {at['devices']} device{plural} at B = {at['batch_size']}" in words


def test_files_contain_the_record_and_the_terms(found, on_a_curve, tmp_path):
    folder = ResultsFolder.at(tmp_path / "made")
    written = {file.name for file in write_cost(found, folder)}
    assert written == {"cost.json", "cost.csv", "cost_devices.csv"}
    content = json.loads(folder.read("cost.json"))
    assert content == json.loads(json.dumps(cost_record(found)))
    again = cost_of(folder, on_a_curve)
    assert again.terms == found.terms
    assert cost_record(again) == cost_record(found)
    table = pd.read_csv(tmp_path / "made" / "tables" / "cost.csv")
    assert list(table["seconds_value"]) == [row.seconds.value for row in found.rows]


def test_damaged_terms_are_refused(found, on_a_curve, tmp_path):
    folder = ResultsFolder.at(tmp_path / "made")
    write_cost(found, folder)
    path = tmp_path / "made" / "cost.json"
    path.write_text(path.read_text().replace('"price": 7.0', '"price": 8.0'))
    with pytest.raises(AnalysisError, match="must have the digest in cost.json.sha256"):
        cost_of(folder, on_a_curve)


def test_unknown_costs_are_reported_as_unknown(cost, costs, without_fit):
    found = cost(without_fit, costs((2, 16), spread=3.0))
    words = cost_sentences(found)
    assert "B = 2: no steps to target, so no time to target." in words
    assert "B = 4: no step time is known." in words
    assert any("have no interval: they are the fewest over trials" in text for text in words)
    assert any("no driver reports it" in text for text in words)
    assert any(text.startswith("B = 2, 16: the interval of the step time") for text in words)
    table = readable_costs(found).set_index("B")
    assert list(table.loc["2", ["steps", "time", "95% CI"]]) == ["-", "-", "-"]
    assert not {"money", "energy", "memory"} & set(table)
    json.dumps(cost_record(found), allow_nan=False)
    one = cost_sentences(cost(without_fit, costs((4,)), devices=(1,)))
    assert "the only batch size with a time" in one[0]
    assert not any("hroughput" in text or "Strong scaling" in text for text in one)
    nothing = cost(without_fit, costs((2,)))
    assert "so none can be recommended" in cost_sentences(nothing)[0]
    assert cost_record(nothing)["verdicts"]["fastest"] is None


@pytest.mark.parametrize("width", [80, 200])
def test_a_terminal_shows_as_many_columns_as_it_has_room_for(found, width):
    console = Console(file=io.StringIO(), width=width)
    print_costs(found, console)
    shown = console.file.getvalue().splitlines()
    assert ("memory" in shown[1]) == (width > 100)
    assert all(name in shown[1] for name in ("steps", "step", "time", "95% CI", "money"))
    assert max(len(line) for line in shown[1:12]) <= width
