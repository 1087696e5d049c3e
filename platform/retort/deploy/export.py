"""What a user takes away: a directory that sentence-transformers loads, with a model card, or a Lucene index with it.

The directory is written aside and renamed: it is there whole, or not at all.
"""

import json
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from retort.deploy.card import model_card
from retort.deploy.java import find_java
from retort.deploy.layout import EXPORTED, needs_own_code, write_layout
from retort.deploy.lucene import INDEX_FOLDER, prepare_lucene
from retort.deploy.onnx_export import check_onnx, write_onnx
from retort.errors import InputError
from retort.evaluation.evaluate import prepare_run_vectors
from retort.evaluation.latest import evaluations_by_split
from retort.evaluation.students import open_run
from retort.progress import Progress, silent
from retort.storage import Workspace
from retort.storage.layout import RUN

__all__ = ["ONNX_FILE", "Exported", "check_new_directory", "export_pyserini", "export_run", "written_aside"]

STAGE = "export"
ONNX_FILE = "onnx/query_encoder.onnx"


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        run: Its name.
        directory: Where.
        files: Relative name -> bytes.
    """

    run: str
    directory: Path
    files: dict[str, int]


def check_new_directory(directory: Path) -> None:
    """Find out, before any work, whether a directory can be made.

    Raises:
        InputError: If it is there already.
    """
    if directory.exists():
        raise InputError(f"{directory} exists already; nothing was overwritten: name another directory")


def written_aside(directory: Path, write: Callable[[Path], None]) -> dict[str, int]:
    """Let ``write`` fill a directory, which gets its name when it is whole; returns its files and their sizes."""
    directory = directory.absolute()
    directory.parent.mkdir(parents=True, exist_ok=True)
    aside = directory.with_name(f".{directory.name}.{uuid.uuid4().hex[:8]}.tmp")
    aside.mkdir()
    try:
        write(aside)
        for path in aside.rglob("*"):
            path.chmod(path.stat().st_mode | 0o044)  # safetensors writes for its user alone
        check_new_directory(directory)
        aside.rename(directory)
    finally:
        shutil.rmtree(aside, ignore_errors=True)  # it is gone where it was renamed
    return {
        path.relative_to(directory).as_posix(): path.stat().st_size
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def export_pyserini(
    workspace: Workspace, name: str, directory: Path, *, bits: int, onnx: bool = False, progress: Progress = silent
) -> Exported:
    """Write a Lucene index of the passages, the model, and the query encoder that Pyserini searches the index with.

    Args:
        workspace: The run's.
        name: The run.
        directory: Must not exist.
        bits: Of a weight.
        onnx: The query encoder as ONNX too.
        progress: Told what happens.

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
        onnx: The query encoder as ONNX too.
        progress: Told what happens.

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
        shutil.copyfile(run.folder.local("experiment.yaml"), target / "experiment.yaml")
        if onnx:
            progress(STAGE, 1, 2, "writing ONNX")
            (target / ONNX_FILE).parent.mkdir()
            write_onnx(run.folder.local_tree(RUN.checkpoint), target / ONNX_FILE)
        card = model_card(workspace, run, evaluations_by_split(workspace, run.name), name=directory.name, onnx=onnx)
        (target / "README.md").write_text(card, encoding="utf-8")
        progress(STAGE, 2, 2)

    return Exported(run.name, directory, written_aside(directory, write))
