"""Lines that a program prints, as measurements."""

import math

import pytest

from study.engine.programs.measurements import BadLineError, Lines, Reader
from workloads.command import Command, Options


@pytest.fixture
def reader():
    return Reader(Command(Options(run="train", target=0.1)))


def read(reader, line):
    return reader.read(line, only_json=False)


def test_a_measurement_is_read_and_other_output_passed_over(reader):
    found = read(reader, '{"step": 10, "val_error": 0.5, "note": "nan, so far"}')
    assert (found.step, found.val_error, found.finite) == (10, 0.5, True)
    for other in ("step 10", "{'step': 10}", '{"step": 10}', "[1, 2]", "{", "{" * 10_000):
        assert read(reader, other) is None


@pytest.mark.parametrize("value", ["nan", "-nan", "NaN", "inf", "-Infinity", "INF", "1e999"])
def test_values_that_are_not_finite_are_read_as_languages_print_them(reader, value):
    for line in (
        f'{{"step": 10, "val_error": {value}}}',
        f'{{"val_error":{value}, "val_loss": nan,"step": 10}}',
    ):
        found = read(reader, line)
        assert found is not None
        assert not found.finite
        assert not math.isfinite(found.val_error)


@pytest.mark.parametrize(
    "line",
    [
        '{"step": 10, "val_error": 0.5, "val_error": 0.1}',
        '{"step": 10, "val_err{"step": 10, "val_error": 0.5}',
        '{"step": 10, "val_error": 0.5}{"step": 20, "val_error": 0.4}',
        '{"step": 10, "val_error": 0,5}',
        '{"step": 10, "val_error": 0.5',
    ],
)
def test_a_torn_or_doubled_measurement_is_refused(reader, line):
    with pytest.raises(BadLineError, match="each key once"):
        read(reader, line)


def test_a_last_line_counts_without_its_break_unless_it_is_torn():
    whole, torn = Lines(), Lines()
    assert whole.add(b'a\n{"step": 1}') == ["a"]
    assert whole.end() == ['{"step": 1}']
    torn.add(b'{"step": 1, "val_err')
    assert torn.end() == []


@pytest.mark.parametrize(
    "line",
    [
        b'\xef\xbb\xbf{"step": 7, "val_error": 0.5}\r\n',
        b'\r 40%|##\r 50%|##  {"step": 7, "val_error": 0.5}\n',
        b'{"step": 7, "val_error": 0.5}\r 50%|##\n',
        b'\x1b[2K\x1b[1;32m{"step": 7, "val_error": 0.5}\x1b[0m\n',
        b'INFO train: {"step": 7, "val_error": 0.5}\n',
        b'\xff\x00{"step": 7, "val_error": 0.5}\x00\n',
    ],
)
def test_a_measurement_is_read_among_the_output_of_bars_loggers_and_terminals(reader, line):
    found = [read(reader, text) for text in Lines().add(line)]
    assert [(m.step, m.val_error) for m in found if m] == [(7, 0.5)]


def test_nested_keys_have_dots():
    reader = Reader(Command(Options(run="train", target=0.1, measured="eval.err")))
    assert read(reader, '{"step": 7, "eval": {"err": 0.5}}').val_error == 0.5


def test_a_line_is_kept_whole_whatever_its_pieces():
    lines, text = Lines(), b'{"step": 7, "pad": "%s"}' % (b"x" * 200_000)
    found = [
        line for at in range(0, len(text), 50_000) for line in lines.add(text[at : at + 50_000])
    ]
    assert [*found, *lines.end()] == [text.decode()]
