"""A page as Markdown, for pull requests and repositories: sentences and tables, no charts."""

from analysis.comparison.sentences import comparison_sentences
from analysis.escaping import escape_markdown
from analysis.page.record import Page, StudyPage
from analysis.page.tables import PageTable
from analysis.report.write import markdown_findings, markdown_list, markdown_table


def page_markdown(page: Page) -> str:
    """Return a page as Markdown: verdicts first, details folded."""
    parts = [f"# {escape_markdown(page.title)}"]
    if page.comparison is not None:
        parts.append(markdown_list(comparison_sentences(page.comparison)))
        parts += [_folded(table) for table in page.comparison_tables]
    for study in page.studies:
        parts += _study(study)
    return "\n\n".join(parts) + "\n"


def _study(study: StudyPage) -> list[str]:
    analysis, verdict = study.analysis, study.verdict
    steps, *others = study.tables
    cost = {"Cost": study.cost_sentences} if study.cost_sentences else {}
    diagnoses = {name.capitalize(): sentences for name, sentences in study.diagnoses.items()}
    return [
        f"## {escape_markdown(verdict.headline)}",
        escape_markdown(f"{analysis.study.name}: {analysis.title}"),
        markdown_list(verdict.reasons),
        "How certain that is:",
        markdown_list(verdict.certainty),
        markdown_table(steps.rows),
        _details("All findings", markdown_findings({**study.findings, **cost, **diagnoses})),
        *(_folded(table) for table in (*study.cost_tables, *study.diagnostic_tables, *others)),
    ]


def _folded(table: PageTable) -> str:
    note = f"\n\n{escape_markdown(table.note)}" if table.note else ""
    return _details(table.caption, markdown_table(table.rows, table.names_first) + note)


def _details(summary: str, content: str) -> str:
    """Return content that GitHub and GitLab fold; blank lines let it contain Markdown."""
    return f"<details><summary>{escape_markdown(summary)}</summary>\n\n{content}\n\n</details>"
