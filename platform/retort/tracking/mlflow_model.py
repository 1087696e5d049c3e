"""What turns a checkpoint into a model of MLflow's: the file ``MLmodel`` with its signature, and what it needs to be served."""

import importlib.metadata
import platform
import warnings
from pathlib import Path

__all__ = ["write_model_files"]

LIBRARIES = ("retort", "numpy", "pandas", "tokenizers", "torch", "transformers")


def write_model_files(directory: Path, *, run_id: str, loader_module: str) -> None:
    """Write ``MLmodel`` and ``requirements.txt``, to stand beside a checkpoint's own files.

    Args:
        directory: Where to write.
        run_id: Of the run that logs the model.
        loader_module: Its ``_load_pyfunc`` is called with the model's directory.
    """
    with warnings.catch_warnings():
        # mlflow warns of its own type hints when its pyfunc flavour is imported.
        warnings.filterwarnings("ignore", message=".*type hint is inferred as AnyType", category=UserWarning)
        from mlflow.models import Model, ModelSignature
        from mlflow.pyfunc import add_to_model
    from mlflow.types.schema import Array, ColSpec, DataType, Map, Schema

    signature = ModelSignature(
        inputs=Schema(
            [
                ColSpec(DataType.string, "question"),
                ColSpec(Array(DataType.string), "history", required=False),  # oldest first, user and agent in turn
            ]
        ),
        outputs=Schema([ColSpec(Map(DataType.double), "terms")]),
    )
    model = Model(run_id=run_id, signature=signature)
    add_to_model(model, loader_module=loader_module, python_env="python_env.yaml")
    model.save(str(directory / "MLmodel"))
    needs = [f"{library}=={importlib.metadata.version(library).partition('+')[0]}" for library in LIBRARIES]
    (directory / "requirements.txt").write_text("\n".join(needs) + "\n", encoding="utf-8")
    environment = f"python: {platform.python_version()}\ndependencies:\n- -r requirements.txt\n"
    (directory / "python_env.yaml").write_text(environment, encoding="utf-8")
