import io

import pytest
from rich.console import Console

from analysis.escaping import escape_markdown
from analysis.report.record import findings_of, sentences
from analysis.report.summary import analyze
from analysis.report.write import print_analysis, summary_markdown


@pytest.mark.parametrize("reached", [True, False])
def test_prints_table_and_sentences(made, study, reached):
    analysis = analyze(study if reached else made({4: None, 8: None}))
    text = io.StringIO()
    print_analysis(analysis, Console(file=text, width=200))
    for sentence in sentences(analysis):
        assert sentence in text.getvalue()
    rows = {line.split()[0] for line in text.getvalue().splitlines() if line}
    assert {str(size) for size in analysis.table["batch_size"]} <= rows


def test_findings_stand_below_their_topics(analyzed):
    text, found = io.StringIO(), findings_of(analyzed)
    print_analysis(analyzed, Console(file=text, width=80))
    page = summary_markdown(analyzed)
    assert [line for line in page.splitlines() if line.startswith("## ")][: len(found)] == [
        f"## {topic}" for topic in found
    ]
    assert tuple(sentence for about in found.values() for sentence in about) == sentences(analyzed)
    for topic, (first, *_) in found.items():
        assert f"\n\n{topic}\n{first}\n" in text.getvalue()
        assert f"## {topic}\n\n- {escape_markdown(first)}" in page


def test_no_cell_is_cut_at_80_columns(analyzed):
    text = io.StringIO()
    print_analysis(analyzed, Console(file=text, width=80))
    rows = text.getvalue().splitlines()[2:12]
    assert rows[-1].startswith("1024")
    assert "\N{HORIZONTAL ELLIPSIS}" not in "".join(rows)
