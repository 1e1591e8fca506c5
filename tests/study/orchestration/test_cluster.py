import os
import socket
import sys
import time
from pathlib import Path

import pytest

from study.errors import StudyError
from study.orchestration.cluster import joined
from study.orchestration.resources import Resources, check_address
from study.orchestration.signals import Stop


@pytest.fixture
def listening():
    """Return a port of this machine at which something answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_no_cluster_auto_and_what_answers_are_accepted(listening):
    for address in (None, "auto", f"127.0.0.1:{listening}", f"localhost:{listening}"):
        check_address(address)


@pytest.mark.parametrize(
    "address", ["", "head", ":6379", "head:", "head:ray", "head:66000", "ray://head:10001", "local"]
)
def test_a_malformed_address_is_refused(address):
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


def test_an_unknown_host_is_refused():
    with pytest.raises(StudyError, match=r"running Ray cluster, got no-such-host\.invalid:6379"):
        check_address("no-such-host.invalid:6379")


def processes():
    """Return this process and all that it started, at any depth."""
    children = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:  # it ended
            continue
        children.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found = [os.getpid()]
    for process in found:
        found += children.get(process, [])
    return found


def sockets(process):
    """Return the inodes of a process's sockets."""
    try:
        links = [os.readlink(link) for link in Path(f"/proc/{process}/fd").iterdir()]
    except OSError:
        return set()
    return {link[8:-1] for link in links if link.startswith("socket:[")}


def listening_addresses(inodes):
    """Return the addresses, in the kernel's hexadecimal, at which these sockets wait for others."""
    lines = [
        line.split()
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(table).read_text().splitlines()[1:]
    ]
    return {line[1].partition(":")[0] for line in lines if line[3] == "0A" and line[9] in inodes}


LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ray_of_this_machine_alone_listens_on_loopback_only(tmp_path):
    import ray

    before = sockets(os.getpid())
    with joined(tmp_path, Resources(workers=1), Stop()):
        assert ray.get(ray.remote(lambda: 7).remote()) == 7
        inodes = set().union(*map(sockets, processes())) - before
        addresses = listening_addresses(inodes)
    assert len(inodes) > 5
    assert addresses
    assert addresses <= LOOPBACK
