import pytest

from study.commands.listing import Build, build_each
from workloads.registry import Entry, names


def entries(*wanted):
    return [entry for entry in names() if entry.name in wanted]


@pytest.fixture(autouse=True)
def no_files(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHSCALE_DATA", str(tmp_path))


def test_every_kind_of_workload_is_listed():
    wanted = ("digits-mlp", "cifar10-resnet50", "image-folder", "noisy-quadratic")
    assert list(build_each(entries(*wanted))) == [
        Build(parameters=2_410, lanes="packed, 32 lanes"),
        Build(parameters=23_520_842, lanes="needs files"),
        Build(parameters=None, lanes="needs files"),
        Build(parameters=None, lanes="its own dynamics"),
    ]


@pytest.mark.parametrize(
    ("changes", "lanes"), [("self.training", "looped: "), ("1", "refused: `batchscale check ")]
)
def test_a_workload_that_is_not_packed_says_why(tmp_path, changes, lanes):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "from workloads.builtin.classification import DigitsMLP\n"
        "class Counting(nn.Sequential):\n"
        "    calls = 0\n"
        "    def forward(self, inputs):\n"
        f"        self.calls += {changes}\n"
        "        return super().forward(inputs)\n"
        "class Mine(DigitsMLP):\n"
        "    def model(self):\n"
        "        return Counting(super().model())\n"
    )
    mine = Entry(name=f"{tmp_path}/mine.py:Mine", source="a file", data="", summary="")
    (told,) = build_each([mine])
    assert told.lanes.startswith(lanes)
