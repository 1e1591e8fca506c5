import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from study.commands.app import main
from study.commands.terminal import Terminal, keep_output_unbroken

GOLDEN = Path(__file__).parents[2] / "golden" / "search"

HOSTILE = "[red]a[/] [/b] :smile: \x1b[2J\x1b]0;title\x07 \x9b31m \u202e\u200b \udcff \r\n"


@pytest.mark.parametrize("stderr", [False, True])
def test_printed_strings_are_literal(capsys, stderr):
    Terminal(stderr=stderr).print(HOSTILE, style="red")
    captured = capsys.readouterr()
    out = captured.err if stderr else captured.out
    assert out == (
        r"[red]a[/] [/b] :smile: \x1b[2J\x1b]0;title\x07 \x9b31m \u202e\u200b \udcff \r" + "\n\n"
    )


def test_table_cells_are_literal(capsys):
    from rich.table import Table

    table = Table("[bold]name[/]", title="[/t]", caption="\x1b[c]")
    table.add_row("[/x]\x1b[2J")
    Terminal().print(table)
    out = capsys.readouterr().out
    for shown in ("[bold]name[/]", "[/t]", r"\x1b[c]", r"[/x]\x1b[2J"):
        assert shown in out
    assert "\x1b" not in out


@pytest.mark.parametrize("columns", ["0", "1", "30"])
def test_a_table_keeps_its_numbers_in_any_width(capsys, monkeypatch, columns):
    from rich.table import Table

    monkeypatch.setenv("COLUMNS", columns)
    table = Table()
    table.add_row(*["12345678"] * 4)
    Terminal().print(table)
    assert capsys.readouterr().out.count("12345678") == 4


def output_of(monkeypatch, encoding):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding, errors="strict"))
    keep_output_unbroken()
    return written


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_characters_that_a_terminal_lacks_are_replaced(monkeypatch, encoding):
    written = output_of(monkeypatch, encoding)
    Terminal().print("61 (48\N{EN DASH}79) \N{MICRO SIGN}s\N{HORIZONTAL ELLIPSIS} \N{SNOWMAN}")
    shown = written.getvalue().decode(encoding)
    plain = "61 (48-79) us... " + r"\u2603"
    assert (
        shown.replace("\N{EN DASH}", "-")
        .replace("\N{MICRO SIGN}", "u")
        .replace("\N{HORIZONTAL ELLIPSIS}", "...")
        .replace("\N{SNOWMAN}", r"\u2603")
        == f"{plain}\n"
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_characters_that_others_print_are_replaced_too(monkeypatch, encoding):
    written = output_of(monkeypatch, encoding)
    print("61 \N{RIGHTWARDS ARROW} \N{SNOWMAN}", flush=True)
    assert written.getvalue() == b"61 -> \\u2603\n"


def test_a_command_continues_when_the_reader_has_gone(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        for terminal in (Terminal(), Terminal()):
            for _ in range(2):
                terminal.print("nobody reads this")


@pytest.mark.slow
def test_analyze_writes_its_files_before_it_prints(tmp_path):
    folder = shutil.copytree(GOLDEN, tmp_path / "study")
    (folder / "summary.json").unlink()
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "batchscale", "analyze", str(folder)],
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=300,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (folder / "summary.json").exists()
    assert (folder / "figures" / "steps_vs_batch.png").exists()


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
    console.print("one")
    assert os.read(read, 100) == b"one\n"
    os.close(read)
    for _ in range(3):
        console.print("two")  # what is left of the pipe leads to nowhere


LOST = "further output is lost: No space left on device\n"


def test_a_full_disk_behind_the_output_is_reported_and_ends_nothing(capsys):
    with open("/dev/full", "w") as full:
        console = Terminal()
        console.file = full
        console.print("lost")
        console.print("lost too")
    assert capsys.readouterr().err == LOST


@pytest.mark.parametrize("argument", ["--help", "--version", "--show-completion"])
def test_help_survives_a_full_disk_behind_the_output(monkeypatch, capsys, argument):
    monkeypatch.setattr(sys, "argv", ["batchscale", argument])
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    monkeypatch.setattr("typer.completion._get_shell_name", lambda: "bash")
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as end:
            main()
    assert (end.value.code, capsys.readouterr().err) == (0, LOST)
