"""Strings that others wrote, as terminals, pages and figures may have them.

A study file, a results folder or an archive may come from anybody: what it calls things is shown,
and never taken for a control sequence, for markup or for a formula.
"""

import re

_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_ENTITY = re.compile(r"&(?=#?\w+;)")


def printable(text: str) -> str:
    r"""Gives a text in which characters that cannot be seen are written out; line breaks stay.

    Args:
        text: any.

    Returns:
        The same with control characters, invisible ones and broken ones as Python writes them.

    >>> print(printable("\x1b[31mred\x1b[0m"))
    \x1b[31mred\x1b[0m
    """
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode()
        for char in text
    )


def markdown(text: str) -> str:
    r"""Gives a text on one line of a Markdown page, without HTML, links, images or new cells.

    Args:
        text: any; code spans and emphasis stay, for they do no harm.

    Returns:
        What shows as that text.

    >>> print(markdown("<b>x</b> | ![y](z)"))
    &lt;b>x&lt;/b> &#124; ![y]\(z)
    """
    line = printable(text).replace("\n", "\\n")
    line = _TAG.sub("&lt;", _ENTITY.sub("&amp;", line))
    return line.replace("](", r"]\(").replace("|", "&#124;")


def unmathematical(text: str) -> str:
    r"""Gives a text in which matplotlib sees no formula.

    Args:
        text: any.

    Returns:
        What matplotlib draws as that text.

    >>> print(unmathematical("costs 1$ or 2$"))
    costs 1\$ or 2\$
    """
    return printable(text).replace("$", r"\$")
