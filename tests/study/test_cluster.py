import socket
import time

import pytest

from study.cluster import check_address
from study.errors import StudyError


@pytest.fixture
def listening():
    """Gives a port of this machine at which something answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_no_cluster_auto_and_what_answers_are_accepted(listening):
    for address in (None, "auto", f"127.0.0.1:{listening}", f"localhost:{listening}"):
        check_address(address)


@pytest.mark.parametrize(
    "address", ["", "head", ":6379", "head:", "head:ray", "head:66000", "ray://head:10001", "local"]
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(StudyError, match=rf"must be `auto` or host:port, got {address}; give"):
        check_address(address)


def test_an_address_where_nothing_answers_is_refused_in_seconds():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        started = time.monotonic()
        with pytest.raises(StudyError, match=rf"got 127.0.0.1:{port}: .*refused; start one with"):
            check_address(f"127.0.0.1:{port}")
    assert time.monotonic() - started < 10


def test_a_host_that_is_none_is_refused():
    with pytest.raises(StudyError, match=r"running Ray cluster, got no-such-host\.invalid:6379"):
        check_address("no-such-host.invalid:6379")
