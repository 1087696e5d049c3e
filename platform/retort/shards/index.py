"""Stage: sparse vectors -> the blocked inverted index that every search of the collection reads, memory-mapped.

``indexes/<encoder>-<fingerprint>/`` holds one file per part (``sparse/postings.py``), the collection's frequent terms and
the order of ties. Parts are built on Ray Data; one that an interrupted run had finished is kept. A part in the making takes
about 16 bytes an entry, 400 MB where passages have 200; nothing holds the whole index in memory.
"""

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retort.progress import Progress
from retort.shards.reader import open_vectors
from retort.shards.session import map_units
from retort.sparse.search.sizes import BLOCK_PASSAGES, FREQUENT_SHARE
from retort.storage import FileEntry, Folder, Stage, Workspace
from retort.storage.layout import encoder_label

if TYPE_CHECKING:
    from retort.sparse.search.exact import ExactIndex

__all__ = ["PART_PASSAGES", "index_stage", "open_index", "part_passages", "prepare_index"]

STAGE = "index"
VERSION = 1
PART_PASSAGES: Final = 16 * BLOCK_PASSAGES  # 122,880: seconds of work, and nine parts to open for a million passages


def index_stage(
    workspace: Workspace,
    vectors: Folder,
    *,
    part_passages: int = PART_PASSAGES,
    block_passages: int = BLOCK_PASSAGES,
    frequent_share: float = FREQUENT_SHARE,
) -> Stage:
    """Folder and identity of the index over a collection's vectors."""
    config: dict[str, object] = {
        "part_passages": part_passages,
        "block_passages": block_passages,
        "frequent_share": frequent_share,
    }
    inputs = {"vectors": vectors.require("prepare it first: retort prepare --help").fingerprint}
    encoder = encoder_label(vectors.name)
    return workspace.stage(STAGE, VERSION, label=f"indexes/{encoder}", config=config, inputs=inputs)


def prepare_index(
    workspace: Workspace,
    vectors: Folder,
    progress: Progress,
    *,
    part_passages: int = PART_PASSAGES,
    block_passages: int = BLOCK_PASSAGES,
    frequent_share: float = FREQUENT_SHARE,
) -> Folder:
    """Index a collection's vectors, unless that is done already; returns the stage's folder."""
    stage = index_stage(
        workspace,
        vectors,
        part_passages=part_passages,
        block_passages=block_passages,
        frequent_share=frequent_share,
    )
    folder = stage.folder
    with stage.writing() as writer:
        if writer.finished is not None:
            progress(STAGE, 1, 1, f"{folder.name} is there already")
            return folder
        # Below, as elsewhere in this module: numba takes 0.3 s, which an index that is there already does not need.
        from retort.sparse.search.postings import frequent_terms

        record = vectors.require("it was just found")
        passages = int(record.counts["passages"])
        units: list[dict[str, Any]] = [
            {"part": number, "first_row": first} for number, first in enumerate(range(0, passages, part_passages))
        ]
        frequent = frequent_terms(vectors.read_array("document_frequency.npy"), passages, share=frequent_share)
        writer.add(
            folder.write_array("frequent.npy", frequent),
            folder.write_array("places.npy", vectors.read_array("tie_places.npy")),
        )
        done = 0
        progress(STAGE, done, len(units), f"indexing {passages:,} passages")

        def finished(row: dict[str, Any]) -> None:
            nonlocal done
            writer.add(FileEntry(**json.loads(row["entry"])))
            done += 1
            progress(STAGE, done, len(units))

        arguments: dict[str, Any] = {
            "url": workspace.url,
            "folder": folder.name,
            "vectors": vectors.name,
            "frequent": frequent.tolist(),
            "part_passages": part_passages,
            "block_passages": block_passages,
        }
        if len(units) == 1:
            finished(_BuildPart(**arguments)(units[0]))  # done before a cluster would have started
        else:
            map_units(units, _BuildPart, arguments, on_result=finished)
        writer.counts |= {
            "passages": passages,
            "vocabulary_size": int(record.counts["vocabulary_size"]),
            "entries": int(record.counts["entries"]),
            "frequent_terms": len(frequent),
            "parts": len(units),
            "bytes": sum(entry.bytes for entry in writer.entries.values()),
        }
    return folder


def _part_file(part: int) -> str:
    return f"part-{part:05d}.npy"


class _BuildPart:
    """One process: sorts a part's vectors into blocks and writes them."""

    def __init__(
        self, url: str, folder: str, vectors: str, frequent: list[int], part_passages: int, block_passages: int
    ) -> None:
        workspace = Workspace(url)
        self.folder = workspace.folder(folder)
        self.vectors = open_vectors(workspace.folder(vectors))
        self.frequent = np.asarray(frequent, dtype=np.int32)
        self.part_passages, self.block_passages = part_passages, block_passages

    def __call__(self, unit: dict[str, Any]) -> dict[str, Any]:
        part, first = int(unit["part"]), int(unit["first_row"])
        file = _part_file(part)
        entry = self.folder.part(file)
        if entry is None:
            from retort.sparse.search.postings import build_postings

            vectors = self.vectors.between(first, min(first + self.part_passages, len(self.vectors)))
            postings = build_postings(vectors, self.frequent, block_passages=self.block_passages)
            entry = self.folder.write_array(file, postings.memory, part=True)
        return {"part": part, "entry": json.dumps(asdict(replace(entry, rows=None)))}


def part_passages(folder: Folder) -> list[int]:
    """Number of passages of each part of a finished index."""
    record = folder.require("index the collection first: retort prepare --help")
    size, passages = int(record.config["part_passages"]), int(record.counts["passages"])
    return [min(size, passages - first) for first in range(0, passages, size)]


def open_index(folder: Folder, *, parts: range | None = None) -> "ExactIndex":
    """Open a finished index, or some of its parts by number; its arrays are mapped, and none of them is read."""
    from retort.sparse.search.exact import ExactIndex
    from retort.sparse.search.postings import Postings

    record = folder.require("index the collection first: retort prepare --help")
    size = int(record.config["part_passages"])
    numbers = range(int(record.counts["parts"])) if parts is None else parts
    opened = [(part * size, Postings.of(folder.read_array(_part_file(part)))) for part in numbers]
    return ExactIndex(
        opened,
        folder.read_array("places.npy"),
        frequent=folder.read_array("frequent.npy"),
        vocabulary_size=int(record.counts["vocabulary_size"]),
    )
