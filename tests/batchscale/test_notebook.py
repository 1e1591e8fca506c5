"""The example notebook runs from top to bottom, and shows what a reader expects."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.slow
@pytest.mark.long
def test_the_example_notebook_loads_fits_and_plots():
    notebook = nbformat.read(EXAMPLES / "analysis.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # committed without outputs
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": EXAMPLES}}).execute()
    shown = [
        {kind for output in cell.outputs for kind in output.get("data", {})}
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
    study, steps, critical, figure, fitted, ratios = shown
    for kinds in (study, steps, critical, fitted, ratios):
        assert "text/html" in kinds
    assert "image/png" in figure
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output
