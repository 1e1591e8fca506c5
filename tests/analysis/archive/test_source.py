"""What an archive may not hold, and that nothing of it reaches the disk."""

import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from analysis.archive import source
from analysis.archive.importing import Choices, import_archive
from analysis.archive.layout import PUBLISHED_NAME
from analysis.archive.source import files, origin
from analysis.errors import AnalysisError
from analysis.tables.folder import ResultsFolder


def tar_with(path, *members, mode="w"):
    with tarfile.open(path, mode) as tar:
        for member, content in members:
            tar.addfile(member, io.BytesIO(content))
    return path


def member(name, content=b"x", kind=tarfile.REGTYPE, **attributes):
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, content


UNSAFE = {
    "absolute": member("/etc/passwd"),
    "upwards": member("../../evil"),
    "upwards inside": member("mnist/../../evil"),
    "backslash": member("..\\evil"),
    "drive": member("C:evil"),
    "symbolic link": member("mnist", b"", tarfile.SYMTYPE, linkname="/etc"),
    "hard link": member("mnist", b"", tarfile.LNKTYPE, linkname="/etc/passwd"),
    "device": member("mnist", b"", tarfile.CHRTYPE),
    "block device": member("mnist", b"", tarfile.BLKTYPE),
    "pipe": member("mnist", b"", tarfile.FIFOTYPE),
    "no name": member("./"),
}


@pytest.mark.parametrize("evil", UNSAFE.values(), ids=UNSAFE)
def test_an_unsafe_member_is_refused_and_nothing_is_written(tmp_path, evil):
    tar = tar_with(tmp_path / "evil.tar", evil, mode="w:gz")
    before = sorted(tmp_path.parent.rglob("*"))
    with pytest.raises(AnalysisError, match="plain files and folders inside itself, got a"):
        import_archive(tar, ResultsFolder.at(tmp_path / "results"), Choices())
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_an_unsafe_member_after_safe_ones_is_refused(archive, tmp_path, tar_of):
    tar = tar_of(archive, "made.tar", "w")
    with tarfile.open(tar, "a") as more:
        more.addfile(member("../evil")[0], io.BytesIO(b"x"))
    with pytest.raises(AnalysisError, match=r"a path that may lead out of it: '\.\./evil'"):
        import_archive(tar, ResultsFolder.at(tmp_path / "results"), Choices())
    assert not (tmp_path / "results").exists()


def test_links_and_pipes_in_a_folder_are_refused(archive, tmp_path):
    (archive / "link").symlink_to("/etc")
    with pytest.raises(AnalysisError, match="got a link or a device: 'link'"):
        list(files(archive))
    (archive / "link").unlink()
    os.mkfifo(archive / "mnist" / "pipe")
    with pytest.raises(AnalysisError, match="got a link or a device: 'mnist/pipe'"):
        list(files(archive))


@pytest.mark.parametrize("name", ["made.tar", "made"])
def test_a_file_of_absurd_size_is_refused(archive, monkeypatch, tar_of, name):
    tar = archive if name == "made" else tar_of(archive, name, "w")
    monkeypatch.setattr(source, "MAX_BYTES_IN_A_FILE", 100)
    with pytest.raises(AnalysisError, match="must have at most 100 bytes, got"):
        list(files(tar))


def test_a_claimed_size_is_refused_before_reading(tmp_path):
    info, _ = member("mnist/cnn/sgd/8/study.json")
    info.size = 2**40
    tar = tmp_path / "bomb.tar"
    tar.write_bytes(info.tobuf())
    with pytest.raises(AnalysisError, match=r"at most 67,108,864 bytes, got 1,099,511,627,776"):
        list(files(tar))


def test_a_header_of_absurd_length_is_refused(tmp_path):
    info, content = member("long", b"a" * 5_000_000, tarfile.GNUTYPE_LONGNAME)
    tar = tar_with(tmp_path / "long.tar", (info, content), member("a"), mode="w:xz")
    with pytest.raises(AnalysisError, match="headers of at most 1,048,576 bytes"):
        list(files(tar))


def test_padding_after_the_end_is_bounded(archive, tmp_path, tar_of, monkeypatch):
    tar = tar_of(archive, "made.tar", "w")
    with tar.open("ab") as file:
        file.write(b"\0" * 100_000)
    assert list(files(tar))
    monkeypatch.setattr(source, "_MAX_PADDING", 1000)
    with pytest.raises(AnalysisError, match="1,000 bytes after its end, got more"):
        list(files(tar))


@pytest.mark.parametrize(("limit", "count"), [("MAX_FILES", 3), ("MAX_BYTES", 300)])
def test_too_many_files_are_refused(archive, tar_of, monkeypatch, limit, count):
    tar = tar_of(archive)
    monkeypatch.setattr(source, limit, count)
    with pytest.raises(AnalysisError, match=r"an archive must hold at most .* got more at"):
        list(files(tar))
    if limit == "MAX_FILES":
        with pytest.raises(AnalysisError, match="at most 3 files, got more in"):
            list(files(archive))


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.999])
@pytest.mark.parametrize("name", ["made.tar.bz2", "made.tar.gz", "made.tar.xz"])
def test_a_truncated_tar_is_refused(archive, tmp_path, tar_of, name, keep):
    tar = tar_of(archive, name, f"w:{name.rpartition('.')[2]}")
    content = tar.read_bytes()
    tar.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(AnalysisError, match="(a complete|or a) tar file, got"):
        import_archive(tar, ResultsFolder.at(tmp_path / "results"), Choices())
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("name", ["torn.tar", "torn.tar.gz"])
def test_a_tar_truncated_within_a_file_is_refused(tmp_path, name):
    place = "mnist/cnn/sgd/8/study.json"
    mode = f"w:{name.rpartition('.')[2]}" if name.endswith("gz") else "w"
    tar = tar_with(tmp_path / name, member(place, os.urandom(2_000_000)), mode=mode)
    tar.write_bytes(tar.read_bytes()[:1_000_000])
    with pytest.raises(AnalysisError, match="a readable folder or a complete tar file, got"):
        import_archive(tar, ResultsFolder.at(tmp_path / "results"), Choices())


@pytest.mark.parametrize("content", [b"", b"no tar", b"BZh no bzip", os.urandom(5000)])
def test_a_file_that_is_not_a_tar_is_refused(tmp_path, content):
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(AnalysisError, match="a readable folder or a complete tar file, got"):
        list(files(tmp_path / "a.tar"))


def test_the_published_name_requires_its_checksum(archive, tmp_path, tar_of, monkeypatch):
    tar = tar_of(archive, PUBLISHED_NAME)
    digest = hashlib.sha256(tar.read_bytes()).hexdigest()
    with pytest.raises(AnalysisError, match=rf"sha256 6460ab86.*f435, got {digest}; download it"):
        origin(tar)
    monkeypatch.setattr(source, "PUBLISHED_SHA256", digest)
    assert origin(tar) == source.Origin(PUBLISHED_NAME, digest)
    other = tar.rename(tmp_path / "other.tar.bz2")
    assert not origin(other).note
    other.write_bytes(other.read_bytes() + b"x")
    assert origin(other).note == ("other.tar.bz2 is not the published archive: its sha256 differs")
    other.write_bytes(b"x")
    with pytest.raises(AnalysisError, match="it does not start as a tar file does"):
        origin(other)


def test_a_missing_archive_is_refused(tmp_path):
    with pytest.raises(AnalysisError, match=r"complete tar file, got .*none: No such"):
        origin(tmp_path / "none")


def test_devices_and_huge_files_are_refused_before_reading(tmp_path, monkeypatch):
    monkeypatch.setattr(source.hashlib, "file_digest", None)  # nothing is hashed
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    with (tmp_path / "sparse").open("wb") as sparse:
        sparse.truncate(2**40)
    (tmp_path / "zeros").write_bytes(bytes(10_000))
    for name, why in {
        "pipe": "it is a pipe and no regular file",
        "device": "it is a device and no regular file",
        "sparse": "it has 1,099,511,627,776 bytes, more than 68,719,476,736",
        "zeros": "it does not start as a tar file does",
    }.items():
        with pytest.raises(AnalysisError, match=f"a complete tar file, got .*{name}: {why}"):
            origin(tmp_path / name)


def test_scattered_workloads_are_refused(archive, tmp_path):
    paths = sorted(path for path in archive.rglob("*") if path.is_file())
    one = [path for path in paths if "mnist/cnn/momentum/64" in str(path)]
    for order, message in (
        (one + [path for path in paths if path not in one], "together .*; unpack it, and give the"),
        (paths[::2] + paths[1::2], r"without metadata\.json; .* unpack it if its files are out"),
    ):
        with tarfile.open(tmp_path / "shuffled.tar", "w") as tar:
            for path in order:
                tar.add(path, Path("batch_science") / path.relative_to(archive))
        with pytest.raises(AnalysisError, match=message):
            import_archive(
                tmp_path / "shuffled.tar", ResultsFolder.at(tmp_path / "results"), Choices()
            )


def test_a_file_twice_is_refused(archive, tmp_path, tar_of):
    tar = tar_of(archive, "made.tar", "w")
    path = "mnist/cnn/momentum/8/study.json"
    with tarfile.open(tar, "a") as more:
        more.add(archive / path, path)
        more.add(archive / path, path)
    with pytest.raises(AnalysisError, match="each file once, got mnist/cnn/momentum/8/study.json"):
        import_archive(tar, ResultsFolder.at(tmp_path / "results"), Choices(only="mnist*"))
