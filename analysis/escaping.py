"""Escapes untrusted strings for terminals, Markdown pages and figures.

Names in a study file, a results folder or an archive may come from anybody. They are shown, and
must never act as control sequences, markup or formulas.
"""

import re

_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_LATEX = {
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "\N{EN DASH}": "--",
    "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}",
}
_ENTITY = re.compile(r"&(?=#?\w+;)")


def printable(text: str) -> str:
    r"""Return a text with nonprintable characters as Python escapes; line breaks stay.

    >>> print(printable("\x1b[31mred\x1b[0m"))
    \x1b[31mred\x1b[0m
    """
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode()
        for char in text
    )


def escape_markdown(text: str) -> str:
    r"""Return a text as one line of Markdown without HTML, links, images or table cells.

    Code spans and emphasis stay, because they do no harm.

    >>> print(escape_markdown("<b>x</b> | ![y](z)"))
    &lt;b>x&lt;/b> &#124; ![y]\(z)
    """
    line = printable(text).replace("\n", "\\n")
    line = _TAG.sub("&lt;", _ENTITY.sub("&amp;", line))
    return line.replace("](", r"]\(").replace("|", "&#124;")


def escape_latex(text: str) -> str:
    r"""Return a text as one line of LaTeX that prints it; some scripts need a Unicode engine.

    >>> print(escape_latex(r"a_b & 5% of \x, 1–2"))
    a\_b \& 5\% of \textbackslash{}x, 1--2
    """
    line = printable(text).replace("\n", " ")
    return "".join(_LATEX.get(char, char) for char in line)


def escape_math(text: str) -> str:
    r"""Return a text that matplotlib does not parse as a formula.

    >>> print(escape_math("costs 1$ or 2$"))
    costs 1\$ or 2\$
    """
    return printable(text).replace("$", r"\$")
