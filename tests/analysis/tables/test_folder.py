"""One folder, three kinds of place: the same names, the same bytes, the same errors."""

import errno
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.errors import AnalysisError
from analysis.tables.folder import ResultsFolder

PLACES = ("path", "file URI", "s3 URI")


@pytest.fixture
def folder(request, tmp_path):
    """Return a results folder, not yet made."""
    place = request.param
    if place == "path":
        return ResultsFolder.at(tmp_path / "results" / "study")
    if place == "file URI":
        return ResultsFolder.at((tmp_path / "results").as_uri()) / "study"
    return ResultsFolder.at(request.getfixturevalue("store").uri("results")) / "study"


everywhere = pytest.mark.parametrize("folder", PLACES, indirect=True)


@everywhere
def test_a_written_file_can_be_read_and_listed(folder):
    assert folder.is_empty
    assert folder.names("parts") == []
    for name in ("study.toml", "parts/b.parquet", "parts/a.parquet"):
        assert not folder.exists(name)
        folder.write(name, name.encode())
        assert folder.exists(name)
        assert folder.read(name) == name.encode()
    assert folder.names("parts") == ["parts/a.parquet", "parts/b.parquet"]
    assert not folder.is_empty
    assert not folder.exists("parts")


@everywhere
@pytest.mark.parametrize("size", [0, 1, 12_000_000])
def test_a_file_is_replaced_whole(folder, size):
    folder.write("a", b"the longer old content")
    folder.write("a", b"\0" * size)
    assert folder.read("a") == b"\0" * size


@everywhere
def test_a_worker_gets_the_same_folder(folder):
    folder.write("a", b"1")
    sent = pickle.loads(pickle.dumps(folder))
    assert sent == folder
    assert sent.read("a") == b"1"
    assert ResultsFolder.at(str(folder)).read("a") == b"1"


@everywhere
def test_the_folder_names_the_study(folder):
    assert folder.name == "study"
    assert (folder / "figures").name == "figures"
    (folder / "figures").write("a.svg", b"1")
    assert folder.read("figures/a.svg") == b"1"


@everywhere
def test_odd_names_of_a_study_are_kept(folder):
    odd = folder / "50% of #1, A + B?"
    odd.write("a", b"1")
    assert ResultsFolder.at(str(odd)).read("a") == b"1"
    assert odd.name == "50% of #1, A + B?"


@everywhere
def test_a_missing_file_is_named(folder):
    with pytest.raises(AnalysisError, match=r"must hold study\.toml, got none in .*; give the fol"):
        folder.read("study.toml")


@everywhere
def test_studies_inside_a_folder_that_is_not_one_are_named(folder):
    for name in ("b", "a"):
        (folder / name).write("study.toml", b"")
    (folder / "c").write("other", b"")
    with pytest.raises(AnalysisError, match=r"such as \S*/a\S*, \S*/b\S*$"):
        folder.read("study.toml")


@everywhere
def test_a_missing_file_can_be_removed(folder):
    folder.write("checkpoints/a", memoryview(b"1"))
    for _ in range(2):
        folder.remove("checkpoints/a")
        assert folder.names("checkpoints") == []
    folder.write("checkpoints/b", b"1")
    for _ in range(2):
        folder.remove_all("checkpoints")
        assert folder.is_empty


@everywhere
def test_files_that_grow_are_kept_at_the_end(folder):
    with folder.workspace(keep=["log", "not made"]) as work:
        (work / "log").write_text("one\n")
        with (work / "log").open("a") as log:
            log.write("two\n")
    assert folder.read("log") == b"one\ntwo\n"
    assert not folder.exists("not made")


def test_a_folder_on_a_disk_is_its_own_workspace(tmp_path):
    with ResultsFolder.at(tmp_path / "new").workspace(keep=["log"]) as work:
        assert work == tmp_path / "new"
    assert work.is_dir()


def test_a_stores_workspace_is_gone_at_the_end(store):
    with ResultsFolder.at(store.uri("study")).workspace(keep=[]) as work:
        (work / "scratch").write_text("")
    assert not work.exists()


def test_messages_show_the_location_as_the_user_gave_it(monkeypatch, tmp_path, store):
    monkeypatch.chdir(tmp_path)
    assert str(ResultsFolder.at("results") / "study") == "results/study"
    assert str(ResultsFolder.at("file:///a/b/") / "c") == "file:///a/b/c"
    assert str(ResultsFolder.at(store.uri("a")) / "b") == store.uri("a/b")


def test_a_relative_path_is_resolved_at_once(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    folder = ResultsFolder.at("study")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    folder.write("a", b"1")
    assert (tmp_path / "study" / "a").read_bytes() == b"1"


def test_no_temporary_file_is_left_beside_a_written_one(tmp_path):
    ResultsFolder.at(tmp_path).write("a", b"1")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("number", "remedy"), [(errno.ENOSPC, "free some space"), (errno.EROFS, "choose another")]
)
def test_a_failed_write_leaves_only_the_old_file(monkeypatch, tmp_path, number, remedy):
    folder = ResultsFolder.at(tmp_path)
    folder.write("a", b"old")

    def fails(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(AnalysisError, match=f"must be writable.*{os.strerror(number)}; {remedy}"):
        folder.write("a", b"new")
    assert folder.read("a") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_has_one_sweep_at_a_time(tmp_path):
    folder = ResultsFolder.at(tmp_path / "study")
    holder = f"process {os.getpid()} on {socket.gethostname()}"
    with folder.locked():
        with pytest.raises(
            AnalysisError, match=rf"one sweep at a time, .*in use by {holder}; wait"
        ):
            ResultsFolder.at(tmp_path / "study").locked().__enter__()
        folder.write("parts/a", b"1")
        assert folder.names("parts") == ["parts/a"]
    with ResultsFolder.at(tmp_path / "study").locked():
        pass


def test_a_killed_process_releases_the_lock(tmp_path):
    code = (
        "import os, sys; from analysis.tables.folder import ResultsFolder\n"
        "ResultsFolder.at(sys.argv[1]).locked().__enter__(); os.kill(os.getpid(), 9)"
    )
    ended = subprocess.run([sys.executable, "-c", code, tmp_path], check=False)
    assert ended.returncode == -9
    assert (tmp_path / ".lock").read_text() != ""
    folder = ResultsFolder.at(tmp_path)
    assert folder.is_empty  # of results
    with folder.locked():
        assert f"process {os.getpid()} on" in (tmp_path / ".lock").read_text()


def test_leftovers_are_deleted_but_not_files_being_written(tmp_path):
    folder = ResultsFolder.at(tmp_path)
    folder.write("parts/b00004-c000.parquet", b"1")
    left = [tmp_path / ".trials.parquet.7.tmp", tmp_path / "parts" / ".b00004-c004.parquet.7.tmp"]
    for path in left:
        path.write_bytes(b"half")
        os.utime(path, (0, 0))
    fresh = tmp_path / "parts" / ".b00004-c008.parquet.8.tmp"
    fresh.write_bytes(b"half")
    with folder.locked():
        assert not any(path.exists() for path in left)
    assert fresh.exists()
    assert folder.read("parts/b00004-c000.parquet") == b"1"


def test_a_store_has_no_locks(store):
    folder = ResultsFolder.at(store.uri("study"))
    with folder.locked(), ResultsFolder.at(store.uri("study")).locked():
        assert folder.is_empty


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("ftp://host/results", r"a URI of file://, s3://, gs://, got ftp://host/results"),
        ("mock:///results", r"a URI of file://, s3://, gs://, got mock"),
        ("s3://", "must name a bucket, as in s3://bucket/results, got s3:// with none"),
        ("s3:///results", "must name a bucket"),
        ("s3://bucket/results?regoin=x", "that pyarrow.fs can open, got .*'regoin'; check its"),
        ("file://host/results", "that pyarrow.fs can open, got file://host"),
    ],
)
def test_an_invalid_location_is_refused(location, message):
    with pytest.raises(AnalysisError, match=message):
        ResultsFolder.at(location)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://me:hunter2@bucket/a",
        "s3://AKIA:hunter2/and/more@bucket/a",
        "s3://AKIA%3Ahunter2%2Fmore@bucket/a",
        "s3://AKIA%3Ahunter2%40bucket/a",
        "s3://AKIA%253Ahunter2@bucket/a",
        "s3://hunter2@bucket/a",
        "S3://me:hunter2@bucket",
        "s3://me:hunter2?more@bucket",
        "s3://bucket/a?endpoint_override=http://me:hunter2@host:9000",
        "s3://bucket/a?endpoint_override=http%3A%2F%2Fme%3Ahunter2%40host",
        "s3://bucket/a?scheme=http&secret_key=hunter2",
        "s3://bucket/a?X-Amz-Signature=hunter2",
        "gs://bucket/a?access_token=hunter2",
        "file://me:hunter2@host/a",
        "ftp://me:hunter2@host/a",
        "https://bucket.host/a?sig=hunter2",
        "s3://AKIA:hunter2/a",
        "s3://[hunter2]:x@bucket",
        "s3:/me:hunter2@bucket",
    ],
)
def test_a_secret_in_a_uri_is_refused_and_not_repeated(uri):
    with pytest.raises(AnalysisError, match="a results URI must|must be a path or a URI") as told:
        ResultsFolder.at(uri)
    assert "hunter2" not in str(told.value)


def test_pipes_and_devices_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "study.toml")
    (tmp_path / "trials.parquet").symlink_to("/dev/zero")
    with (tmp_path / "summary.json").open("wb") as sparse:
        sparse.truncate(2**40)
    folder = ResultsFolder.at(tmp_path)
    for name in ("study.toml", "trials.parquet"):
        with pytest.raises(AnalysisError, match=f"{name} must be a regular file, got a pipe or a"):
            folder.read(name)
    with pytest.raises(AnalysisError, match=r"at most 67,108,864 bytes, got 1,099,511,627,776"):
        folder.read("summary.json")


@pytest.mark.slow  # the client asks three times
@pytest.mark.long
def test_a_store_that_does_not_answer_is_named():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    folder = ResultsFolder.at(f"s3://bucket/a?scheme=http&endpoint_override=127.0.0.1:{port}")
    with pytest.raises(AnalysisError, match=r"must be readable, got s3://bucket/a.*; check the pa"):
        folder.exists("study.toml")


def test_a_missing_bucket_cannot_be_written(store):
    folder = ResultsFolder.at(store.uri("a").replace("test-", "another-"))
    with pytest.raises(AnalysisError, match=r"must be writable, got s3://another-.*NO_SUCH_BUCKET"):
        folder.write("a", b"1")


def test_a_file_where_the_folder_would_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    folder = ResultsFolder.at(tmp_path / "file" / "study")
    with pytest.raises(AnalysisError, match=r"must be writable, got .*file/study"):
        folder.write("a", b"1")
    assert Path(tmp_path / "file").read_text() == ""
