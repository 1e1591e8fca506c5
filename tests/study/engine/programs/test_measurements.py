"""Lines that a program prints, as measurements."""

import math

import pytest

from study.engine.programs.measurements import BadLineError, Lines, Reader
from workloads.command.program import Command, Options


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


def test_what_terminals_and_other_systems_put_around_a_line_is_left_out():
    lines = Lines().add(
        b'\xef\xbb\xbf{"step": 1}\r\n 50%|#\r{"step": 2}\n\x1b[1;32m{"step": 3}\x1b[0m\n'
    )
    assert lines == ['{"step": 1}', '{"step": 2}', '{"step": 3}']
