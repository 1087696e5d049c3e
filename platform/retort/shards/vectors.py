"""Stage: passages -> sparse vectors. The collection is encoded once, in parts, on Ray Data, with bounded memory.

``vectors/<encoder>-<fingerprint>/`` holds per part ``.indptr.npy``, ``.indices.npy``, ``.values.npy`` (memory-mapped by
readers), the tokeniser, the doc_ids, document frequencies, the order of ties and a hash of each passage's text. A part that
an interrupted run had finished is kept.

The lexical family takes two passes: word pieces are counted, then the counts become BM25 impacts, which need the whole
collection's document frequencies.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from retort.config import EncoderConfig
from retort.corpora.collection import passage_parts, read_doc_ids
from retort.errors import ConfigError, RunError
from retort.identity import file_digest
from retort.progress import Progress
from retort.records import passage_text
from retort.shards.session import cluster_gpus, ensure_ray, holds_processors, map_units
from retort.shards.texts import passage_input_ids
from retort.sparse.encoders.bm25 import bm25_impacts, term_counts
from retort.sparse.encoders.models import model_digest, model_directory
from retort.sparse.tokens import Tokenizer, build_word_tokenizer
from retort.sparse.vectors import Int64, SparseVectors
from retort.storage import FileEntry, Folder, Stage, StageWriter, Workspace
from retort.storage.layout import RUN

__all__ = ["prepare_vectors", "vectors_stage"]

STAGE = "vectors"
VERSION = 1
# A splade part takes a minute of a core, a lexical part a second: progress and resuming stay fine-grained.
PART_PASSAGES = {"lexical": 8192, "splade": 512}
TOKENIZED_AT_A_TIME = 512  # passages; the tokeniser's own records of a text are 100 times its size
VOCABULARY_PASSAGES = 200_000  # of the collection's beginning, from which the vocabulary of model tiny is counted


def vectors_stage(
    workspace: Workspace, encoder: EncoderConfig, *, tokenizer: Path | None = None, run: Folder | None = None
) -> Stage:
    """Folder and identity of the collection's vectors; what only concerns the student is no part of it.

    Args:
        workspace: Holds the collection.
        encoder: The frozen passage encoder.
        tokenizer: A tokeniser of another workspace. Model ``tiny`` counts its vocabulary on the collection, and a
            student that knows another one reads nothing here; models with a vocabulary of their own don't need it.
        run: A finished run that trained the passage encoder: its checkpoint encodes, and the vectors are the run's own.
    """
    passages = workspace.folder("passages").require("import a corpus first: retort import --help")
    config: dict[str, object] = {"family": encoder.family, "passage_tokens": encoder.passage_tokens}
    inputs = {"passages": passages.fingerprint}
    if run is not None:
        inputs["run"] = run.require("the run is not finished").fingerprint
        if encoder.passage_precision != "fp32":
            config["passage_precision"] = encoder.passage_precision
        label = f"vectors/{RUN.label(run.name)}"
        return workspace.stage(STAGE, VERSION, label=label, config=config, inputs=inputs)
    if encoder.model == "tiny":
        config["vocabulary_size"] = encoder.vocabulary_size
        if tokenizer is not None:
            inputs["tokenizer"] = file_digest(tokenizer / "tokenizer.json")
    if encoder.family == "lexical":
        config |= {"k1": encoder.k1, "b": encoder.b}
        directory = model_directory(encoder)
        if directory is not None:
            tokenizer = directory / "tokenizer.json"
            if not tokenizer.is_file():
                raise ConfigError(
                    [f"encoder.model: {directory} has no tokenizer.json; save its fast tokeniser beside it"]
                )
            inputs["tokenizer"] = file_digest(tokenizer)
    else:
        config |= {"layers": encoder.layers, "hidden_size": encoder.hidden_size if encoder.model == "tiny" else None}
        inputs["model"] = model_digest(encoder)
        if encoder.passage_precision != "fp32":
            config["passage_precision"] = encoder.passage_precision
    name = encoder.model.rstrip("/").rsplit("/", 1)[-1].lower()
    return workspace.stage(STAGE, VERSION, label=f"vectors/{encoder.family}-{name}", config=config, inputs=inputs)


def prepare_vectors(
    workspace: Workspace,
    encoder: EncoderConfig,
    progress: Progress,
    *,
    tokenizer: Path | None = None,
    run: Folder | None = None,
) -> Folder:
    """Encode the collection, with a run's own passage encoder where one is given, unless that is done already.

    Returns:
        The stage's folder. See ``vectors_stage``.
    """
    stage = vectors_stage(workspace, encoder, tokenizer=tokenizer, run=run)
    folder = stage.folder
    with stage.writing() as writer:
        if writer.finished is not None:
            progress(STAGE, 1, 1, f"{folder.name} is there already")
            return folder
        _write_tokenizer(workspace, encoder, folder, writer, tokenizer=tokenizer, run=run)
        units = list(_units(workspace, PART_PASSAGES[encoder.family]))
        rows: dict[int, dict[str, Any]] = {}

        def finished(row: dict[str, Any]) -> None:
            rows[int(row["part"])] = row
            progress(STAGE, len(rows), len(units) * passes, f"encoding passages with {encoder.family} {model}")

        passes = 2 if encoder.family == "lexical" else 1
        model = encoder.model if run is None else f"of {run.name}"
        arguments: dict[str, Any] = {
            "url": workspace.url,
            "folder": folder.name,
            "encoder": encoder.model_dump(mode="json"),
        }
        progress(STAGE, 0, len(units) * passes, f"encoding {_passages(units):,} passages")
        if encoder.passage_precision != "fp32":
            _say_if_slow()
        if encoder.family == "lexical":
            map_units(units, _CountTerms, arguments, on_result=finished)
        else:
            arguments["run"] = None if run is None else (run.workspace.url, run.name)
            # One process per processor; in a trial, which holds several, as many threads as the trial has.
            arguments["threads"] = None if holds_processors() else 1
            map_units(units, _EncodeSplade, arguments, gpu=True, on_result=finished)
        frequency = _document_frequency(folder, len(units), rows[0]["vocabulary"])
        total_length = sum(int(row["length"]) for row in rows.values())
        passages = _passages(units)
        if encoder.family == "lexical":
            writer.add(folder.write_array("document_frequency.npy", frequency))
            done = dict(rows)
            rows.clear()

            def weighted(row: dict[str, Any]) -> None:
                rows[int(row["part"])] = row
                progress(STAGE, len(units) + len(rows), len(units) * passes, "weighing terms with BM25")

            arguments["passages"], arguments["mean_length"] = passages, total_length / passages
            map_units(units, _WeighTerms, arguments, on_result=weighted)
            rows = {part: done[part] | row for part, row in rows.items()}
        _collect(workspace, folder, writer, rows, frequency, passages, total_length)
    return folder


def _say_if_slow() -> None:
    import torch

    from retort.sparse.encoders.encoder import say_slow_bfloat16

    ensure_ray()
    if not cluster_gpus():
        say_slow_bfloat16(torch.device("cpu"))


def _passages(units: list[dict[str, Any]]) -> int:
    return int(units[-1]["first_row"]) + int(units[-1]["rows"])


def _units(workspace: Workspace, size: int) -> Iterator[dict[str, Any]]:
    number = 0
    for part in passage_parts(workspace):
        for offset in range(0, part.rows, size):
            rows = min(size, part.rows - offset)
            yield {
                "part": number,
                "file": part.name,
                "offset": offset,
                "rows": rows,
                "first_row": part.first_row + offset,
            }
            number += 1


def _write_tokenizer(
    workspace: Workspace,
    encoder: EncoderConfig,
    folder: Folder,
    writer: StageWriter,
    *,
    tokenizer: Path | None,
    run: Folder | None,
) -> None:
    if run is not None:
        directory: Path | None = run.local_tree(RUN.passage_checkpoint)
    else:
        directory = tokenizer if encoder.model == "tiny" else model_directory(encoder)
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary)
        if directory is None:
            build_word_tokenizer(_texts(workspace), vocabulary_size=encoder.vocabulary_size, directory=target)
        else:
            for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
                if (directory / name).is_file():
                    shutil.copyfile(directory / name, target / name)
        writer.add_tree(target, "tokenizer")


def _texts(workspace: Workspace) -> Iterator[str]:
    passages = workspace.folder("passages")
    for part in passage_parts(workspace):
        if part.first_row >= VOCABULARY_PASSAGES:
            return
        table = passages.read_table(part.name)
        for title, text in zip(table["title"].to_pylist(), table["text"].to_pylist(), strict=True):
            # Not passage_text: without a title this counts a full stop, which may order the vocabulary otherwise, and the
            # vocabulary of a stage that is made again must be the one that its students learned.
            yield f"{title}. {text}"


def _part_file(part: int, kind: str) -> str:
    return f"part-{part:05d}.{kind}.npy"


class _PartWork:
    """One process's share: reads a slice of the passages, writes one part."""

    def __init__(self, url: str, folder: str, encoder: dict[str, Any]) -> None:
        self.workspace = Workspace(url)
        self.folder = self.workspace.folder(folder)
        self.encoder = EncoderConfig.model_validate(encoder)
        self.tokenizer = _open_tokenizer(self.folder)

    def texts(self, unit: dict[str, Any]) -> tuple[list[str], np.ndarray]:
        """Texts to be indexed, and a hash of each passage's own text, by which duplicates are known."""
        table = self.workspace.folder("passages").read_table(str(unit["file"]))
        table = table.slice(int(unit["offset"]), int(unit["rows"]))
        titles, bodies = table["title"].to_pylist(), table["text"].to_pylist()
        hashes = [hashlib.blake2b(" ".join(text.lower().split()).encode(), digest_size=8).digest() for text in bodies]
        joined = [passage_text(title, text) for title, text in zip(titles, bodies, strict=True)]
        return joined, np.frombuffer(b"".join(hashes), dtype=np.int64)

    def write(self, part: int, vectors: SparseVectors, hashes: np.ndarray, values: str) -> list[FileEntry]:
        """Write a part's arrays."""
        return [
            self.folder.write_array(_part_file(part, "indptr"), vectors.indptr, part=True),
            self.folder.write_array(_part_file(part, "indices"), vectors.indices, part=True),
            self.folder.write_array(_part_file(part, "hashes"), hashes, part=True),
            self.folder.write_array(_part_file(part, values), vectors.values, part=True),
        ]

    def has(self, part: int, values: str) -> bool:
        """Whether an interrupted run of the stage wrote all arrays of a part, and they are what it wrote."""
        # The values first: they are written last.
        kinds = (values, "hashes", "indices", "indptr")
        return all(self.folder.part(_part_file(part, kind)) is not None for kind in kinds)

    def __call__(self, unit: dict[str, Any]) -> dict[str, Any]:
        return self.work(unit) | {"part": int(unit["part"])}

    def work(self, unit: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError


class _CountTerms(_PartWork):
    def work(self, unit: dict[str, Any]) -> dict[str, Any]:
        part = int(unit["part"])
        if not self.has(part, "counts"):
            texts, hashes = self.texts(unit)
            counts = []
            for low in range(0, len(texts), TOKENIZED_AT_A_TIME):
                chunk = texts[low : low + TOKENIZED_AT_A_TIME]
                pieces = self.tokenizer.pieces(chunk, max_tokens=self.encoder.passage_tokens)
                counts.append(term_counts(pieces, self.tokenizer.vocabulary_size))
            self.write(part, SparseVectors.concatenate(counts), hashes, "counts")
        length = float(_open(self.folder, part, "counts").sum(dtype=np.float64))
        return {"length": length, "vocabulary": self.tokenizer.vocabulary_size}


class _WeighTerms(_PartWork):
    def __init__(self, url: str, folder: str, encoder: dict[str, Any], passages: int, mean_length: float) -> None:
        super().__init__(url, folder, encoder)
        self.passages, self.mean_length = passages, mean_length
        self.frequency = _open_file(self.folder, "document_frequency.npy")

    def work(self, unit: dict[str, Any]) -> dict[str, Any]:
        part = int(unit["part"])
        if self.folder.part(_part_file(part, "values")) is None:
            counts = SparseVectors(
                _open(self.folder, part, "indptr"),
                _open(self.folder, part, "indices"),
                _open(self.folder, part, "counts"),
                self.tokenizer.vocabulary_size,
            )
            impacts = bm25_impacts(
                counts,
                document_frequency=self.frequency,
                passages=self.passages,
                mean_length=self.mean_length,
                k1=self.encoder.k1,
                b=self.encoder.b,
            )
            self.folder.write_array(_part_file(part, "values"), impacts.values, part=True)
        return {}


class _EncodeSplade(_PartWork):
    def __init__(
        self, url: str, folder: str, encoder: dict[str, Any], run: tuple[str, str] | None, threads: int | None
    ) -> None:
        super().__init__(url, folder, encoder)
        import torch

        from retort.sparse.encoders.encoder import initial_student, load_student

        if threads is not None:
            torch.set_num_threads(threads)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if run is None:
            model = initial_student(self.encoder, self.tokenizer)
        else:
            url, name = run  # perhaps of another workspace than the collection
            model, _ = load_student(Workspace(url).folder(name).local_tree(RUN.passage_checkpoint))
        self.model = model.eval().to(device)

    def work(self, unit: dict[str, Any]) -> dict[str, Any]:
        from retort.sparse.encoders.encoder import encode_ids

        part = int(unit["part"])
        if not self.has(part, "values"):
            texts, hashes = self.texts(unit)
            ids = [passage_input_ids(self.tokenizer, text, max_tokens=self.encoder.passage_tokens) for text in texts]
            vectors = encode_ids(self.model, ids, precision=self.encoder.passage_precision)
            self.write(part, vectors, hashes, "values")
        entries = len(_open(self.folder, part, "values"))
        return {"length": float(entries), "vocabulary": self.model.vocabulary_size}


def _open_tokenizer(folder: Folder) -> Tokenizer:
    if folder.workspace.is_local:
        return Tokenizer(folder.path("tokenizer"))
    # The stage is not recorded yet while its own workers read the tokeniser, so that no cache can hold it.
    with tempfile.TemporaryDirectory(prefix="retort-tokenizer-") as temporary:
        for path in folder.workspace.fs.find(folder.path("tokenizer")):
            folder.workspace.fs.get_file(path, str(Path(temporary, path.rsplit("/", 1)[-1])))
        return Tokenizer(temporary)  # it is read whole


def _open_file(folder: Folder, file: str) -> np.ndarray:
    # Parts of a stage that is being written are in no record, so no cache can check them: remote ones are read whole.
    if folder.workspace.is_local:
        return folder.read_array(file)
    with folder.workspace.fs.open(folder.path(file), "rb") as stream:
        array: np.ndarray = np.load(stream, allow_pickle=False)
    return array


def _open(folder: Folder, part: int, kind: str) -> np.ndarray:
    return _open_file(folder, _part_file(part, kind))


def _document_frequency(folder: Folder, parts: int, vocabulary: int) -> Int64:
    frequency = np.zeros(vocabulary, dtype=np.int64)
    for part in range(parts):
        frequency += np.bincount(_open(folder, part, "indices"), minlength=vocabulary)
    return frequency


def _collect(
    workspace: Workspace,
    folder: Folder,
    writer: StageWriter,
    rows: dict[int, dict[str, Any]],
    frequency: Int64,
    passages: int,
    total_length: float,
) -> None:
    from retort.sparse.search.exact import tie_order

    hashes = []
    for part in sorted(rows):
        for kind in ("indptr", "indices", "values"):
            entry = folder.part(_part_file(part, kind))
            if entry is None:
                raise RunError(f"{folder.url(_part_file(part, kind))} was damaged while the stage ran; run it again")
            writer.add(entry)
        hashes.append(_open(folder, part, "hashes"))
    doc_ids = read_doc_ids(workspace)
    writer.add(
        folder.write_array("document_frequency.npy", frequency),
        folder.write_array("text_hashes.npy", np.concatenate(hashes)),
        folder.write_array("tie_places.npy", tie_order(doc_ids)),
        folder.write_table("doc_ids.arrow", pa.table({"doc_id": doc_ids})),
    )
    entries = sum(entry.rows or 0 for name, entry in writer.entries.items() if name.endswith(".values.npy"))
    writer.counts |= {
        "passages": passages,
        "vocabulary_size": int(rows[0]["vocabulary"]),
        "entries": entries,
        "mean_length": total_length / passages,
        "mean_active_entries": entries / passages,
        "parts": len(rows),
    }
