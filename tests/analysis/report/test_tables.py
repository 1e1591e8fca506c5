"""Tables as files say what the summary says; LaTeX prints any name as it is."""

import json
import math
import re
from dataclasses import replace

import pandas as pd
import pytest

from analysis.report.record import summary_record
from analysis.report.summary import analyze
from analysis.report.tables import critical_latex, steps_latex, write_tables
from analysis.tables.folder import ResultsFolder

HOSTILE = r"50% of a_b & c# \input{x} $1^2$ {~} <y>"


def rows_of(latex):
    """Return the cells of every row of a table, escaped as they are."""
    lines = [line for line in latex.splitlines() if line.endswith(r" \\")]
    return [re.split(r"(?<!\\) ?& ", line.removesuffix(r" \\")) for line in lines]


@pytest.fixture
def analysis(analyzed):
    return analyzed


def test_the_tables_hold_the_numbers_of_the_summary(analysis, tmp_path):
    record = json.loads(json.dumps(summary_record(analysis)))
    names = write_tables(analysis, record, ResultsFolder.at(tmp_path))
    assert {"steps.csv", "search.csv", "fits.csv", "critical_batch_sizes.csv"} <= set(names)
    steps = pd.read_csv(tmp_path / "steps.csv")
    assert list(steps["steps"]) == [row["steps"] for row in record["table"]]
    assert list(steps["regime"]) == list(record["regimes"]["of"].values())
    critical = pd.read_csv(tmp_path / "critical_batch_sizes.csv").set_index("definition")
    for name, size in record["critical_batch_sizes"].items():
        for end in ("value", "low", "high"):
            expected = math.nan if size[end] is None else size[end]
            assert critical[end][name] == pytest.approx(expected, nan_ok=True)
    targets = pd.read_csv(tmp_path / "targets.csv")
    assert set(targets["target"]) == {goal["target"] for goal in record["goals"]}


def test_tables_of_an_earlier_analysis_are_deleted(made, analysis, tmp_path):
    missed = analyze(made({4: None, 8: None}))
    for one, latex in ((analysis, True), (missed, True), (analysis, False)):
        names = write_tables(one, summary_record(one), ResultsFolder.at(tmp_path), latex=latex)
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
        assert ("fits.csv" in names) == (one is analysis)
        assert ("steps.tex" in names) == latex
        assert ("critical_batch_sizes.tex" in names) == (latex and one is analysis)


def test_the_table_of_steps_is_complete_latex(analysis):
    latex = steps_latex(analysis)
    assert latex.startswith("% needs \\usepackage{booktabs}\n\\begin{table}")
    head, units, *rows = rows_of(latex)
    assert head[:2] == ["Batch size", "Fewest"]
    assert units[:2] == ["examples", "steps"]
    assert [row[0] for row in rows] == [str(size) for size in analysis.table["batch_size"]]
    assert [row[1] for row in rows] == [str(steps) for steps in analysis.table["steps"]]
    assert len({len(row) for row in (head, units, *rows)}) == 1
    for rule in ("toprule", "midrule", "bottomrule"):
        assert latex.count(f"\\{rule}\n") == 1


def test_critical_batch_sizes_have_their_intervals(analysis):
    record = summary_record(analysis)
    _, _, *rows = rows_of(critical_latex(analysis.title, record))
    names = [row[0].replace("\\_", "_") for row in rows]
    assert set(record["critical_batch_sizes"]) <= set(names)
    assert re.fullmatch(r"\d+ \(\d+--\d+\)", rows[names.index("b_crit")][1])
    assert all(row[2] for row in rows)


def test_hostile_names_are_printed_and_not_run(study, analyzed):
    config = {**study.config, "workload": HOSTILE}
    hostile = analyze(replace(study, config=config))
    plain = analyzed
    for text, usual in (
        (steps_latex(hostile), steps_latex(plain)),
        (
            critical_latex(hostile.title, summary_record(hostile)),
            critical_latex(plain.title, summary_record(plain)),
        ),
    ):
        assert r"50\% of a\_b \& c\# \textbackslash{}input\{x\} \$1\textasciicircum{}2\$" in text
        assert len(rows_of(text)) == len(rows_of(usual))
        unescaped = re.sub(r"\\[{}]", "", text)
        assert unescaped.count("{") == unescaped.count("}")
