"""What a user takes away: a directory that sentence-transformers loads, with a model card, or a Lucene index with it."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from retort.deploy.card import model_card
from retort.deploy.directory import check_new_directory, written_aside
from retort.deploy.java import find_java
from retort.deploy.layout import EXPORTED, needs_own_code, write_layout
from retort.deploy.lucene import INDEX_FOLDER, prepare_lucene
from retort.deploy.onnx_export import check_onnx, write_onnx
from retort.evaluation.latest import evaluations_by_split
from retort.evaluation.students import open_run, prepare_run_vectors
from retort.progress import Progress, silent
from retort.storage import Workspace
from retort.storage.layout import EXPERIMENT_YAML, RUN

__all__ = ["ONNX_FILE", "Exported", "export_pyserini", "export_run"]

STAGE = "export"
ONNX_FILE = "onnx/query_encoder.onnx"


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        run: The run's name.
        directory: Where the files were written.
        files: Relative name -> size in bytes.
    """

    run: str
    directory: Path
    files: dict[str, int]


def export_pyserini(
    workspace: Workspace, name: str, directory: Path, *, bits: int, onnx: bool = False, progress: Progress = silent
) -> Exported:
    """Write a Lucene index of the passages, the model, and the query encoder that Pyserini searches the index with.

    Args:
        workspace: The run's.
        name: The run.
        directory: Must not exist.
        bits: Bits of a weight in the Lucene index.
        onnx: Write the query encoder as ONNX too.
        progress: Called for each part that is made.

    Raises:
        InputError: If the directory exists.
        WorkspaceError: If there is no such run.
        ConfigError: If Java or another part of the extra is missing.
    """
    check_new_directory(directory)
    find_java()
    run = open_run(workspace, name)
    index = prepare_lucene(workspace, prepare_run_vectors(workspace, run, progress), bits=bits, progress=progress)
    record = index.require("it was just made")

    def write(target: Path) -> None:
        export_run(workspace, name, target / "model", onnx=onnx, progress=progress)
        shutil.copytree(index.local_tree(INDEX_FOLDER), target / "index")
        settings = {
            "bits": bits,
            "greatest_passage_weight": record.counts["greatest_weight"],
            "trust_remote_code": needs_own_code(run),
        }
        (target / "impacts.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
        shutil.copyfile(EXPORTED / "retort_query_encoder.py", target / "retort_query_encoder.py")

    return Exported(run.name, directory, written_aside(directory, write))


def export_run(
    workspace: Workspace, name: str, directory: Path, *, onnx: bool = False, progress: Progress = silent
) -> Exported:
    """Write a run's encoders, for queries and for passages, with a model card.

    Args:
        workspace: The run's.
        name: The run.
        directory: Must not exist.
        onnx: Write the query encoder as ONNX too.
        progress: Called for each part that is made.

    Raises:
        InputError: If the directory exists.
        WorkspaceError: If there is no such run.
        ConfigError: If the extra that ONNX needs is missing, or the passage encoder's model cannot be had.
    """
    check_new_directory(directory)
    if onnx:
        check_onnx()
    run = open_run(workspace, name)
    vectors = run.vectors
    if run.config.encoder.family == "lexical":
        vectors = prepare_run_vectors(workspace, run, progress)

    def write(target: Path) -> None:
        progress(STAGE, 0, 2, f"writing {run.name}")
        write_layout(run, vectors, target)
        shutil.copyfile(run.folder.local(EXPERIMENT_YAML), target / EXPERIMENT_YAML)
        if onnx:
            progress(STAGE, 1, 2, "writing ONNX")
            (target / ONNX_FILE).parent.mkdir()
            write_onnx(run.folder.local_tree(RUN.checkpoint), target / ONNX_FILE)
        card = model_card(workspace, run, evaluations_by_split(workspace, run.name), name=directory.name, onnx=onnx)
        (target / "README.md").write_text(card, encoding="utf-8")
        progress(STAGE, 2, 2)

    return Exported(run.name, directory, written_aside(directory, write))
