"""Students as MLflow loads them, by the loader that new models name and by the one that version 0.1 named."""

import shutil

import pandas as pd
import pytest

from retort.search.tracked import SERVED
from retort.tracking.mlflow_model import write_model_files


@pytest.mark.parametrize("loader", [SERVED, "retort.retrieval.served"])
def test_a_logged_model_loads_by_the_loader_that_it_names(loader, evaluated_path, tmp_path):
    (run,) = (evaluated_path / "runs").iterdir()
    model = tmp_path / "model"
    shutil.copytree(run / "checkpoint", model)
    shutil.copyfile(run / "experiment.json", model / "experiment.json")
    write_model_files(model, run_id="0" * 32, loader_module=loader)
    from mlflow.pyfunc import load_model  # once the package has imported it, which silences MLflow's warning of itself

    assert f"loader_module: {loader}" in (model / "MLmodel").read_text(encoding="utf-8")
    frame = pd.DataFrame({"question": ["How old is Rome?"], "history": [[]]})
    (terms,) = load_model(str(model)).predict(frame)["terms"]
    assert terms and all(weight > 0 for weight in terms.values())


def test_new_models_name_the_loader_where_it_is():
    assert SERVED == "retort.deploy.served"
