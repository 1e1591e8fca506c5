import pytest

from study.commands.terminal import Terminal

HOSTILE = "[red]a[/] [/b] :smile: \x1b[2J\x1b]0;title\x07 \x9b31m \u202e\u200b \udcff \r\n"


@pytest.mark.parametrize("stderr", [False, True])
def test_what_is_printed_is_text(capsys, stderr):
    Terminal(stderr=stderr).print(HOSTILE, style="red")
    captured = capsys.readouterr()
    out = captured.err if stderr else captured.out
    assert out == (
        r"[red]a[/] [/b] :smile: \x1b[2J\x1b]0;title\x07 \x9b31m \u202e\u200b \udcff \r" + "\n\n"
    )


def test_cells_of_a_table_are_text(capsys):
    from rich.table import Table

    table = Table("[bold]name[/]", title="[/t]", caption="\x1b[c]")
    table.add_row("[/x]\x1b[2J")
    Terminal().print(table)
    out = capsys.readouterr().out
    for shown in ("[bold]name[/]", "[/t]", r"\x1b[c]", r"[/x]\x1b[2J"):
        assert shown in out
    assert "\x1b" not in out
