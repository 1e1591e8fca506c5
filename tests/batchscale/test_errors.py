"""Messages: their length, and that they hold no secret."""

import time

import pytest

from batchscale.errors import BatchscaleError, presentable, redacted
from study.errors import StudyError, cause


def test_a_long_line_keeps_its_rule_and_its_remedy():
    told = str(StudyError(f"a name must be short, got {'x' * 5000}; shorten it"))
    assert len(told) == 500
    assert told.startswith("a name must be short, got xxx")
    assert told.endswith("xxx; shorten it")
    assert presentable(told) == told


def test_the_first_of_many_lines_are_kept():
    lines = str(BatchscaleError("\n".join(map(str, range(1000))))).splitlines()
    assert (len(lines), lines[-1]) == (50, "and 951 more lines")


@pytest.mark.parametrize(
    "text",
    [
        "got s3://AKIA:hunter2/x@bucket/a: no such bucket",
        "got 's3://AKIA%3Ahunter2%2Fx%40bucket'",
        "https://host/a?X-Amz-Security-Token=hunter2&region=x",
        "GET /a?access_key=hunter2",
    ],
)
def test_no_message_contains_a_secret(text):
    assert "hunter2" not in str(BatchscaleError(text))
    assert "hunter2" not in cause(OSError(text))
    assert redacted(redacted(text)) == redacted(text)


@pytest.mark.parametrize(
    "text",
    ["s3://bucket/user@host/run", "file:///home/a@b/c", "s3://b?scheme=http&region=x", "a@b"],
)
def test_text_without_a_secret_is_unchanged(text):
    assert redacted(text) == text


@pytest.mark.parametrize("part", ["://", "://a:", "?key", "&key=", "%3A%2F%2F", "@", "?"])
def test_it_takes_time_in_proportion_to_the_text(part):
    start = time.process_time()
    redacted(part * 100_000)
    assert time.process_time() - start < 20  # minutes, if it were the square
