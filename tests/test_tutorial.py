"""The notebook docs/tutorial.ipynb: committed without outputs, and it runs from its first cell to its last."""

import base64
import io
import json
import re

import numpy as np
import pytest
from conftest import PHOTOS, ROOT
from PIL import Image

from shiftnet_tf.masks import mask_files
from shiftnet_tf.photos import image_files

NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"


def test_it_has_no_outputs_and_its_links_lead_somewhere():
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
    links = re.findall(r"\]\(([^)]+)\)", "".join("".join(cell["source"]) for cell in cells))
    assert links and all((NOTEBOOK.parent / link).is_file() for link in links)


@pytest.mark.long
def test_it_runs_and_shows_the_photo_filled_by_each_runtime():
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    text = "".join(output["text"] for output in outputs if output.output_type == "stream" and output.name == "stdout")
    differences = re.findall(r"^(\w+): mean difference ([\d.]+) grey levels, known pixels kept: (\w+)$", text, re.M)
    assert [name for name, *_ in differences] == ["onnxruntime", "litert", "tensorflow"]
    assert all(float(difference) < 0.5 and kept == "True" for _, difference, kept in differences)

    shown = [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    pictures = [np.array(Image.open(io.BytesIO(base64.b64decode(data)))) for data in shown]
    photo = image_files.read_image(PHOTOS / "test" / "gc_farm_sheep.jpg")
    hole = mask_files.read_mask(ROOT / "training" / "sample_masks" / "gc_farm_sheep.png") != 0
    assert len(pictures) == 3 and pictures[-1].shape == photo.shape
    np.testing.assert_array_equal(pictures[-1][~hole], photo[~hole])
    assert (pictures[-1][hole] != photo[hole]).mean() > 0.9
