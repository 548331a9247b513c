"""The tutorial notebook runs in Jupyter as it is."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "docs" / "tutorial.ipynb"


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(NOTEBOOK.parents[1]), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "outputs are left out of the repository"
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    assert sum("<svg" in html for html in shown) == 2  # the run and the comparison
    results = [output.data["text/plain"] for output in outputs if output.output_type == "execute_result"]
    measured, said = (float(part.strip("() ").removeprefix("np.float32(")) for part in results[2].split(", "))
    assert measured == pytest.approx(said, abs=1e-3) and measured > 0.9
    assert "{'size=8192': 81" in results[3] and "'size=online': 16" in results[3]
