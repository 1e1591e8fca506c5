import os

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


@pytest.fixture
def pipe():
    """Return the end of a pipe to read from, and a console that prints ASCII into it."""
    read, write = os.pipe()
    with open(write, "w", encoding="ascii") as stream:
        console = Terminal()
        console.file = stream
        yield read, console


@pytest.mark.timeout(20)
def test_a_reader_that_has_gone_ends_nothing(pipe):
    read, console = pipe
    with console.unbroken():
        console.print("one")
        assert os.read(read, 100) == b"one\n"
        os.close(read)
        for _ in range(3):
            console.print("two")
    console.print("three")  # what is left of the pipe leads to nowhere


@pytest.mark.timeout(20)
def test_letters_that_the_reader_lacks_are_escaped(pipe):
    read, console = pipe
    with console.unbroken():
        console.print("größere Stapel, 批量")
    assert os.read(read, 100) == rb"gr\xf6\xdfere Stapel, \u6279\u91cf" + b"\n"
    os.close(read)


def test_a_full_disk_behind_the_output_ends_nothing():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        console = Terminal()
        console.file = full
        with console.unbroken():
            console.print("lost")


def test_output_is_as_before_after_it(capsys):
    console = Terminal()
    with console.unbroken():
        console.print("inside")
    console.print("after")
    assert capsys.readouterr().out == "inside\nafter\n"
    assert console._file is None
