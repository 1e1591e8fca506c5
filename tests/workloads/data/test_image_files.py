"""Other files in a folder of images, and what its classes must have."""

import os

import pytest

from workloads.data.image_files import find_images
from workloads.errors import WorkloadError


def make(folder, **counts):
    """Make some empty images in each class; nothing here reads them."""
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            (folder / name / f"{number:02}.png").touch()
    return folder


def counts(found):
    return [
        [sum(label == number for _, label in part) for number in range(found.classes)]
        for part in (found.train, found.validation)
    ]


@pytest.mark.parametrize(
    "name", [".ipynb_checkpoints", ".thumbs", "__MACOSX", "@eaDir", "$RECYCLE.BIN"]
)
def test_folders_of_the_system_are_not_classes(tmp_path, name):
    make(tmp_path, cat=20, dog=20)
    make(tmp_path, **{name: 20})
    make(tmp_path / "cat", **{name: 20})
    assert counts(find_images(tmp_path)) == [[18, 18], [2, 2]]


def test_hidden_files_and_other_files_are_ignored(tmp_path):
    make(tmp_path, cat=20, dog=20)
    for name in ("._00.png", ".DS_Store", "Thumbs.db", "desktop.ini", "notes.txt"):
        (tmp_path / "cat" / name).write_text("")
        (tmp_path / name).write_text("")
    assert counts(find_images(tmp_path)) == [[18, 18], [2, 2]]


@pytest.mark.parametrize("name", ["val", "valid", "validation", "test", "Val", "testing"])
def test_the_usual_names_of_splits_are_recognized(tmp_path, name):
    make(tmp_path / "train", cat=5, dog=4)
    make(tmp_path / name, cat=2, dog=3)
    assert counts(find_images(tmp_path)) == [[5, 4], [2, 3]]


def test_a_test_folder_is_not_used_beside_a_validation_folder(tmp_path):
    make(tmp_path / "train", cat=5, dog=4)
    make(tmp_path / "valid", cat=2, dog=3)
    make(tmp_path / "test", cat=9, eel=9)
    assert counts(find_images(tmp_path)) == [[5, 4], [2, 3]]


def test_classes_may_have_the_names_of_splits(tmp_path):
    make(tmp_path, bus=20, train=30, test=10)
    assert counts(find_images(tmp_path)) == [[18, 9, 27], [2, 1, 3]]


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (
            {"train": {"cat": 9}},
            "got none in .*; add one, or give .* to validate on every tenth",
        ),
        ({"train": {"a": 9}, "val": {"a": 9}, "valid": {"a": 9}}, "split, got val and valid in"),
        (
            {"train": {"cat": 20, "dog": 20}, "val": {"cat": 6, "dog": 6, "eel": 6}},
            "got 'eel' 0 and 6, 'cat' 20 and 6, 'dog' 20 and 6 in",
        ),
        ({"train": {"cat": 9, "dog": 8}, "test": {"cat": 6}}, "got 'dog' 8 and 0, 'cat' 9 and 6"),
        ({"first": {"cat": 9}, "second": {"cat": 9}}, "got .*first/cat in the class 'first'"),
    ],
)
def test_invalid_splits_are_refused(tmp_path, splits, message):
    for name, classes in splits.items():
        make(tmp_path / name, **classes)
    with pytest.raises(WorkloadError, match=message):
        find_images(tmp_path)


def test_classes_too_small_to_validate_are_refused_with_their_counts(tmp_path):
    make(tmp_path, a=30, b=9, c=5)
    with pytest.raises(WorkloadError, match="got 'b' 9 and 0, 'c' 5 and 0, 'a' 27 and 3 in"):
        find_images(tmp_path)
    assert find_images(tmp_path, classes=1 / 3).classes == 1  # the first is large enough


def test_a_message_lists_only_a_few_of_many_classes(tmp_path):
    make(tmp_path, **{f"class-{number:03}": 1 for number in range(40)})
    with pytest.raises(WorkloadError, match="and 32 more classes in") as told:
        find_images(tmp_path)
    assert len(str(told.value)) <= 500


@pytest.mark.parametrize("name", ["scan.tiff", "IMG_1.HEIC", "a.avif"])
def test_images_in_unknown_formats_are_refused(tmp_path, name):
    make(tmp_path, cat=20, dog=20)
    (tmp_path / "cat" / name).touch()
    with pytest.raises(WorkloadError, match=f"got .*{name}; convert or remove it"):
        find_images(tmp_path)


def test_an_image_must_be_a_regular_file(tmp_path):
    make(tmp_path, cat=20, dog=20)
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    with pytest.raises(WorkloadError, match=r"regular file, got .*pipe\.png; replace"):
        find_images(tmp_path)


def test_a_name_too_long_for_the_system_is_refused(tmp_path):
    with pytest.raises(WorkloadError, match="must be a folder of images"):
        find_images(tmp_path / ("x" * 5000))
