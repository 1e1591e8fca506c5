"""One thread for every test, and an object store for those that ask for one."""

import hashlib
import logging
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
import torch
from hypothesis import settings

settings.register_profile("loaded", deadline=None)  # a loaded machine is slow, not wrong
settings.load_profile("loaded")
_LEFT = re.compile(r"\.lock$|__pycache__")
"""What a command that refuses its input may leave behind."""
SECONDS = {"long": 1800, "slow": 600}  # before a test counts as hung


def pytest_collection_modifyitems(items):
    """Allow slow and long tests more time than the others."""
    for item in items:
        if item.get_closest_marker("timeout") is None:
            for marker, seconds in SECONDS.items():
                if item.get_closest_marker(marker):
                    item.add_marker(pytest.mark.timeout(seconds))
                    break


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Keeps torch to one thread: the models are so small that threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Return what runs the command in this process and an empty folder: exit code, stdout, stderr.

    A process of its own would spend seconds on imports.
    """
    from study.commands import app as cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("BATCHSCALE_DATA", "")  # also undoes what --data-dir sets

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["batchscale", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def passed(command):
    """Return what runs a command that must succeed, and gives what it printed."""

    def run(*arguments):
        code, out, err = command(*arguments)
        assert code == 0, err
        return out

    return run


@pytest.fixture
def refused(command):
    """Return what runs a command that must refuse its input, and gives the words.

    It ends with exit code 2 and without a traceback, prints nothing else and writes nothing.
    """

    def contents():
        files = (path for path in Path().rglob("*") if path.is_file())
        return {file: file.read_bytes() for file in files if not _LEFT.search(str(file))}

    def run(*arguments):
        before = contents()
        code, out, err = command(*arguments)
        assert code == 2, err
        assert "Traceback" not in err
        assert not out
        assert contents() == before
        return err

    return run


@pytest.fixture(scope="session")
def run_alone():
    """Return what runs a study in this process, one cohort after another, with no Ray about."""
    from study.engine.cohort import run_cohort
    from study.search.queue import CohortQueue
    from study.storage.consolidate import consolidate
    from study.storage.parts import Parts, write_part
    from study.storage.study_folder import open_folder

    def run(folder, study, trainable):
        queue, parts = CohortQueue(open_folder(folder, study), []), Parts(folder, study)
        while (cohort := queue.take()) is not None:
            results = run_cohort(study, trainable, cohort)
            write_part(folder, study, results)
            if queue.finish(results):
                queue.plan(cohort.batch_size, parts.at(cohort.batch_size))
        consolidate(parts)

    return run


@pytest.fixture(scope="session")
def accept():
    """Return what gives all files of a results folder that had a digest that of their content."""

    def accept(folder):
        for digest in Path(folder).rglob("*.sha256"):
            file = digest.with_suffix("")
            if file.exists():
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                digest.write_text(f"{content}  {file.name}\n")

    return accept


@dataclass(frozen=True)
class Store:
    """An object store with one empty bucket."""

    bucket: str
    query: str

    def uri(self, path):
        """Return the URI of a path in the bucket."""
        return f"s3://{self.bucket}/{path}?{self.query}"


@pytest.fixture(scope="session")
def s3_server():
    """Return host and port of a server on this machine that speaks S3."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line for every request
    server.start()
    yield "{}:{}".format(*server.get_host_and_port())
    server.stop()


def open_store(s3_server):
    """Make a store that is open to this process, and to those it starts, while one is needed."""
    from pyarrow import fs

    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        bucket, query = f"test-{uuid4()}", f"scheme=http&endpoint_override={s3_server}"
        creator, _ = fs.FileSystem.from_uri(f"s3://{bucket}?{query}&allow_bucket_creation=true")
        creator.create_dir(bucket)
        yield Store(bucket, query)


store = pytest.fixture(open_store)
lasting_store = pytest.fixture(open_store, scope="module")
