"""More than one machine, by the real command: an object store, and a Ray cluster of two nodes."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.tables.folder import ResultsFolder
from study.storage.parts import part_names

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("machines")]  # they share a cluster


# one machine must not have done all before another has started
SLOW = ("        return (model(", "        __import__('time').sleep(0.2)\n        return (model(")


@pytest.fixture(scope="module")
def alone(make_place, tmp_path_factory):
    """Return the results of one process on this machine's disk."""
    with make_place(tmp_path_factory.mktemp("alone")) as place:
        return place.folder / place.alone("results")


@pytest.fixture(scope="module")
def begun(make_place, tmp_path_factory, lasting_store):
    """Yield a place and the URI of its results, where half of the trials are recorded."""
    uri = lasting_store.uri("results")
    few = ("--workers", 2, "--set", "search.trials=4")
    with make_place(tmp_path_factory.mktemp("begun")) as place:
        code, out, err = place.run("sweep", "study.toml", "--results", uri, *few)
        assert code == 0, err
        assert "16 trials recorded, 0 failed" in out
        assert f"batchscale analyze '{lasting_store.uri('results/study')}'" in out
        yield place, uri, ResultsFolder.at(lasting_store.uri("results/study"))


@pytest.mark.long
def test_a_study_in_a_store_is_read_and_analysed_there(begun, passed, tmp_path):
    place, _, folder = begun
    out = passed("status", folder)
    assert "of the expected work recorded" in out
    out = passed("analyze", folder)
    assert str(folder / "figures" / "steps_vs_batch.png") in out
    assert folder.read("figures/steps_vs_batch.png")[:4] == b"\x89PNG"
    assert json.loads(folder.read("summary.json"))["study"] == "study"
    assert b"batch size 90" in folder.read("optuna.log")
    assert not list(tmp_path.iterdir())
    assert {path.name for path in place.folder.iterdir()} <= {
        "study.toml",
        "blobs.py",
        "__pycache__",
    }


@contextlib.contextmanager
def ray_node(folder, *arguments):
    """Run a Ray node; at the end it and all that it started are gone."""
    command = [Path(sys.executable).with_name("ray"), "start", "--block", *map(str, arguments)]
    small = ["--num-cpus=1", "--object-store-memory=100000000", "--node-ip-address=127.0.0.1"]
    ports = ["--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0"]
    folder.mkdir()
    with (folder / "log").open("w") as log:
        node = subprocess.Popen(
            [*command, *small, *ports, f"--temp-dir={folder}"],
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    log = folder / "log"
    try:
        wait_until(lambda: node.poll() is not None or "Ray runtime started" in log.read_text())
        assert node.poll() is None, log.read_text()
        yield
    finally:
        node.send_signal(signal.SIGTERM)
        try:
            node.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(node.pid, signal.SIGKILL)
            node.wait()
        wait_until(lambda: not processes_with(str(folder)))


def wait_until(happened, seconds=60):
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def processes_with(text):
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            command = (folder / "cmdline").read_bytes().decode(errors="replace")
            found += [folder.name] if text in command else []
    return found


@contextlib.contextmanager
def two_nodes():
    """Run a cluster of two nodes with one core each, which asks for a token.

    Gives its address and a word that all commands of the second node hold.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    head = ("--head", f"--port={address.rpartition(':')[2]}", "--include-dashboard=false")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", uuid4().hex)
        with (
            # Ray makes sockets there, and pytest's own paths are too long for that
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made,
            ray_node(Path(made) / "a", *head),
            ray_node(Path(made) / "b", f"--address={address}"),
        ):
            yield address, str(Path(made) / "b")


@pytest.fixture(scope="module")
def cluster():
    """Return the address of a cluster of two nodes."""
    with two_nodes() as (address, _):
        yield address


@pytest.fixture
def token_at_home(cluster, tmp_path, monkeypatch):
    """Put the cluster's token where Ray keeps it, and say nothing else of it."""
    (tmp_path / "home" / ".ray").mkdir(parents=True)
    (tmp_path / "home" / ".ray" / "auth_token").write_text(os.environ["RAY_AUTH_TOKEN"])
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.delenv("RAY_AUTH_MODE")


@pytest.mark.long
@pytest.mark.usefixtures("token_at_home")
def test_a_study_begun_on_one_machine_goes_on_on_two(begun, alone, cluster):
    place, uri, folder = begun
    plugin = (place.folder / "blobs.py").read_text()
    (place.folder / "blobs.py").write_text(plugin.replace(*SLOW))
    there = ("--results", uri, "--address", cluster, "--workers", 2)
    code, out, err = place.run("sweep", "study.toml", *there)
    assert code == 0, err
    assert "32 trials recorded, 0 failed" in out
    place.assert_same_tables(uri, alone)
    assert len(json.loads(folder.read("provenance.json"))["sweeps"]) == 2
    schemas = [pq.read_schema(pa.BufferReader(folder.read(name))) for name in part_names(folder)]
    nodes = {schema.metadata[b"batchscale.node"] for schema in schemas}
    assert len(nodes) == 1 + 2


@pytest.mark.long
def test_a_cluster_that_asks_for_a_token_is_explained(place, cluster, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_NUM_REDIS_GET_RETRIES", "2")  # else Ray tries for 20 s
    code, _, err = place.run("sweep", "study.toml", "--address", cluster)
    assert code == 2
    assert "set RAY_AUTH_MODE=token" in err
    assert "Traceback" not in err


@pytest.mark.long
def test_a_node_that_dies_costs_its_cohort_until_the_next_sweep(place):
    long = ("--set", "search.trials=32", "--set", "race={to='budget', max_steps=1500, cohort=4}")
    with two_nodes() as (address, second):
        there = ("sweep", "study.toml", "--address", address, "--workers", 2, *long)
        sweep = place.start(*there)
        parts = place.folder / "results" / "study" / "parts"
        wait_until(lambda: len(list(parts.glob("b*.parquet"))) >= 4, 180)
        for pid in processes_with(second):
            if "raylet/raylet" in Path("/proc", pid, "cmdline").read_text():
                os.kill(int(pid), signal.SIGKILL)
        out, err = sweep.communicate(timeout=300)
        assert sweep.returncode == 1, err
        assert "the worker died in cohort" in out
        recorded = {path: path.stat().st_mtime_ns for path in parts.glob("b*.parquet")}
        assert 4 < len(recorded) < 32
        code, out, err = place.run(*there)
        assert code == 0, err
        assert "128 trials recorded, 0 failed" in out
    assert all(path.stat().st_mtime_ns == then for path, then in recorded.items())
    place.assert_same_bytes("results", place.alone("whole", *long[1::2]))
