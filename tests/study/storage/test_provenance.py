import json

from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import SCHEMA_VERSION
from study.storage.provenance import record_end, record_start


def test_each_sweep_of_a_folder_adds_its_own_entry(tmp_path):
    folder = ResultsFolder.at(tmp_path)
    for workers in (1, 2):
        record_start(folder, {"workers": workers}, {"mode": "packed"})
        record_end(folder)
    content = json.loads((tmp_path / "provenance.json").read_text())
    assert content["schema_version"] == SCHEMA_VERSION
    assert [sweep["resources"]["workers"] for sweep in content["sweeps"]] == [1, 2]
    for sweep in content["sweeps"]:
        assert sweep["start"] <= sweep["end"]
        assert sweep["packages"]["torch"]
        assert sweep["machine"]["device"]
