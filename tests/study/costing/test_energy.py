"""Energy is read where a driver tells it, and absent elsewhere."""

import sys
from types import SimpleNamespace

import pytest

from study.costing.energy import energy_since

MAXIMUM = 1_000_000_000


def package(folder, number, joules):
    zone = folder / f"intel-rapl:{number}"
    zone.mkdir(exist_ok=True)
    (zone / "energy_uj").write_text(f"{round(joules * 1e6)}\n")
    (zone / "max_energy_range_uj").write_text(f"{MAXIMUM}\n")
    return zone


def test_packages_are_added_up_and_zones_within_them_are_not(tmp_path):
    package(tmp_path, "0", 10.0)
    package(tmp_path, "0:0", 4.0)
    package(tmp_path, "1", 20.0)
    since = energy_since("cpu", tmp_path)
    package(tmp_path, "0", 13.0)
    package(tmp_path, "0:0", 6.0)
    package(tmp_path, "1", 25.0)
    assert since() == pytest.approx(8.0)


def test_a_counter_may_wrap_around(tmp_path):
    package(tmp_path, "0", 999.0)
    since = energy_since("cpu", tmp_path)
    package(tmp_path, "0", 2.0)
    assert since() == pytest.approx(3.0)


def test_energy_is_unknown_without_a_driver(tmp_path, monkeypatch):
    assert energy_since("cpu", tmp_path) is None
    zone = package(tmp_path, "0", 1.0)
    (zone / "energy_uj").write_text("secret\n")
    assert energy_since("cpu", tmp_path) is None
    monkeypatch.setitem(sys.modules, "pynvml", None)  # not installed
    assert energy_since("cuda") is None


class NVMLError(Exception):
    pass


def test_a_gpu_counts_its_own_energy(monkeypatch):
    counted, asked = [5000.0], []

    def by_uuid(uuid):
        asked.append(uuid)
        return "handle"

    driver = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=by_uuid,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: counted[0],
    )
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    properties = SimpleNamespace(uuid="1-2")
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda: properties)
    since = energy_since("cuda")
    counted[0] = 7500.0  # millijoules
    assert since() == pytest.approx(2.5)
    assert asked == ["GPU-1-2"]

    def old(handle):
        raise NVMLError("not supported")

    driver.nvmlDeviceGetTotalEnergyConsumption = old
    assert energy_since("cuda") is None
