import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.cbook import is_math_text

from analysis.escaping import escape_latex, escape_markdown, escape_math, printable


@given(st.text())
def test_a_printable_text_has_no_invisible_character(text):
    shown = printable(text)
    assert shown.replace("\n", "").isprintable()
    assert printable(shown) == shown
    shown.encode()


@given(st.text(st.sampled_from("<>/!?&;#a1x[]()|`*\\\n\x00 $")))
def test_a_line_of_markdown_has_no_tag_no_link_and_no_cell(text):
    line = escape_markdown(text)
    assert "\n" not in line
    assert "](" not in line
    assert not re.search(r"<[A-Za-z/!?]", line)
    assert "|" not in line
    assert not is_math_text(escape_math(text)) or "\\$" in text


@pytest.mark.parametrize(
    "text", ["digits-mlp, nesterov, error < 0.05", "S_min & E_min", "a_b [1, 2]"]
)
def test_plain_text_stays(text):
    assert escape_markdown(text) == printable(text) == escape_math(text) == text


@given(st.text(st.sampled_from("\\{}%$&#_^~<>-ab \n")))
def test_a_line_of_latex_has_no_command_but_those_that_print(text):
    line = escape_latex(text)
    assert "\n" not in line
    printing = r"\\(text(backslash|asciitilde|asciicircum|less|greater)\{\}|[&%$#_{}])"
    assert not re.search(r"[\\{}%$&#_^~<>]", re.sub(printing, "", line))
