"""Image folders in memory and in a cache: their pixels, and the detection of changes."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from workloads.data import image_folder as module
from workloads.data.image_files import find_images
from workloads.data.image_folder import image_folder
from workloads.errors import WorkloadError


def write(path, brightness, sides=(8, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((*sides, 3), brightness, dtype=np.uint8)
    path.write_bytes(f"P6 {sides[1]} {sides[0]} 255\n".encode() + pixels.tobytes())


@pytest.fixture
def folder(tmp_path):
    """Return two classes of twenty images, each of a different brightness."""
    for label, name in enumerate(("cats", "dogs")):
        for number in range(20):
            write(tmp_path / "pets" / name / f"{number:02}.ppm", 100 * label + number)
    return tmp_path / "pets"


def brightness(examples):
    return examples.inputs[:, 0, 0, 0].tolist()


def test_every_tenth_image_of_a_class_validates(folder):
    data = image_folder(find_images(folder), 8, None)
    assert brightness(data.validation) == [9, 19, 109, 119]
    assert data.train.inputs.shape == (36, 3, 8, 8)
    assert data.train.inputs.dtype == torch.uint8
    assert [b // 100 for b in brightness(data.train)] == data.train.targets.tolist()


def test_folders_for_training_and_validation_are_the_split(folder, tmp_path):
    (tmp_path / "split").mkdir()
    folder.rename(tmp_path / "split" / "train")
    write(tmp_path / "split" / "val" / "cats" / "a.ppm", 7)
    write(tmp_path / "split" / "val" / "dogs" / "b.ppm", 8)
    data = image_folder(find_images(tmp_path / "split"), 8, None)
    assert (len(data.train.inputs), brightness(data.validation)) == (40, [7, 8])
    assert data.validation.targets.tolist() == [0, 1]


def test_a_part_of_the_images_and_classes_can_be_selected(folder):
    assert find_images(folder, classes=0.5).classes == 1
    assert {label for _, label in find_images(folder, classes=0.5).train} == {0}
    few = find_images(folder, images=10)
    assert (len(few.train), len(few.validation)) == (10, 4)
    assert few.train == find_images(folder, images=10).train


@pytest.mark.parametrize(("sides", "size"), [((8, 12), 4), ((12, 8), 8), ((4, 4), 8)])
def test_images_are_resized_by_the_shorter_side_and_cropped(tmp_path, sides, size):
    for number in range(10):
        write(tmp_path / "only" / f"{number}.ppm", 42, sides)
    data = image_folder(find_images(tmp_path), size, None)
    assert data.train.inputs.shape == (9, 3, size, size)
    assert (data.train.inputs == 42).all()


def test_images_are_cropped_to_the_center(tmp_path):
    for number in range(10):
        write(tmp_path / "only" / f"{number}.ppm", 0, (2, 6))
        path = tmp_path / "only" / f"{number}.ppm"
        pixels = np.arange(6, dtype=np.uint8).repeat(3).reshape(1, 6, 3).repeat(2, axis=0)
        path.write_bytes(b"P6 6 2 255\n" + pixels.tobytes())
    kept = image_folder(find_images(tmp_path), 2, None).train.inputs
    assert kept[0, 0].tolist() == [[2, 3], [2, 3]]


def test_a_cache_is_made_once_and_mapped(folder, tmp_path, monkeypatch):
    held = image_folder(find_images(folder), 4, None)
    first = image_folder(find_images(folder), 4, tmp_path / "cache")
    monkeypatch.setattr(module, "_decoded", None)  # nothing is decoded again
    second = image_folder(find_images(folder), 4, tmp_path / "cache")
    assert not held.mapped
    for mapped in (first, second):
        assert mapped.mapped
        for split in ("train", "validation"):
            for one, other in zip(getattr(held, split), getattr(mapped, split), strict=True):
                assert torch.equal(one, other)
    assert [path.stat().st_size for path in (tmp_path / "cache").iterdir()] == [40 * 3 * 4 * 4]


def test_an_image_changed_in_place_is_noticed(folder, tmp_path):
    image_folder(find_images(folder), 8, tmp_path / "cache")
    path = folder / "cats" / "09.ppm"
    before = path.stat()
    write(path, 77)  # as long as it was, and said to be as old
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    data = image_folder(find_images(folder), 8, tmp_path / "cache")
    assert brightness(data.validation)[0] == 77


def test_a_truncated_cache_is_made_again(folder, tmp_path):
    image_folder(find_images(folder), 8, tmp_path / "cache")
    (cached,) = (tmp_path / "cache").iterdir()
    cached.write_bytes(cached.read_bytes()[:-5])
    data = image_folder(find_images(folder), 8, tmp_path / "cache")
    assert brightness(data.validation) == [9, 19, 109, 119]


def test_a_cache_that_cannot_be_written_is_refused(folder):
    with pytest.raises(WorkloadError, match="`cache` must be a folder that can be written"):
        image_folder(find_images(folder), 8, folder / "cats" / "00.ppm")


def test_each_size_has_its_own_cache(folder, tmp_path):
    for size in (4, 8):
        image_folder(find_images(folder), size, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_more_images_than_the_memory_limit_need_a_cache(folder, monkeypatch):
    monkeypatch.setattr(module, "IN_MEMORY", 1000)
    with pytest.raises(
        WorkloadError, match="at most 1,000 bytes in memory, got 7,680; set `cache`"
    ):
        image_folder(find_images(folder), 8, None)


def test_other_formats_are_read(folder):

    for path in list(folder.rglob("*.ppm")):
        Image.open(path).save(path.with_suffix(".png"))
        path.unlink()
    (folder / "cats" / "notes.txt").write_text("no image")
    assert brightness(image_folder(find_images(folder), 8, None).validation) == [9, 19, 109, 119]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"P5 1 1 65535 ab", "8 bits per color, got mode I"),
        (b"", "must be readable"),
        (b"P6 2 2 255 abc", "must be readable"),
        (b"P5 0 2 255 ", "must be readable"),
    ],
)
def test_images_that_would_be_misread_are_refused(folder, content, message):
    (folder / "cats" / "00.ppm").write_bytes(content)
    with pytest.raises(WorkloadError, match=message):
        image_folder(find_images(folder), 8, None)


def test_gray_is_repeated_in_every_color(tmp_path):
    for number in range(10):
        pixels = np.full((4, 4), number, dtype=np.uint8)
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a" / f"{number}.pgm").write_bytes(b"P5 4 4 255 " + pixels.tobytes())
    data = image_folder(find_images(tmp_path), 4, None)
    assert data.train.inputs.unique(dim=1).shape == (9, 1, 4, 4)


def test_a_broken_image_is_named(folder):
    (folder / "cats" / "00.ppm").rename(folder / "cats" / "00.png")
    (folder / "cats" / "00.png").write_bytes(b"no image")
    with pytest.raises(WorkloadError, match=r"must be readable, got .*00\.png"):
        image_folder(find_images(folder), 8, None)


def test_folders_without_images_are_refused(folder, tmp_path):
    with pytest.raises(WorkloadError, match="must be a folder of images, got"):
        find_images(tmp_path / "none")
    with pytest.raises(WorkloadError, match="subfolder for every class, got none"):
        find_images(folder / "cats")
    (tmp_path / "empty" / "class").mkdir(parents=True)
    with pytest.raises(WorkloadError, match="got 'class' 0 and 0 in .* at least 10 images"):
        find_images(tmp_path / "empty")
    (tmp_path / "half" / "val" / "cats").mkdir(parents=True)
    folder.rename(tmp_path / "half" / "train")
    with pytest.raises(WorkloadError, match="got 'cats' 20 and 0, 'dogs' 20 and 0 in"):
        find_images(tmp_path / "half")


def test_a_size_must_be_positive(folder):
    with pytest.raises(WorkloadError, match="`size` must be at least 1 pixel, got 0"):
        image_folder(find_images(folder), 0, None)
