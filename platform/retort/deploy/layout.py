"""A run's encoders as a directory of sentence-transformers, queries and passages each to the vectors that they have here.

``splade``: a Router of stock modules, the student for queries and the passage encoder, frozen or trained, for passages; where the
student keeps hard limits, a module of its own behind its pooling. ``lexical``: one module, written beside the model, that has
the collection's BM25 statistics in it. sentence-transformers itself is not needed to write them.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from retort.corpora.context import SEPARATOR_TOKEN
from retort.evaluation.students import Run
from retort.sparse.encoders.encoder import initial_student, save_student
from retort.sparse.objective.regularizers import Limits
from retort.sparse.tokens import Tokenizer
from retort.storage import Folder
from retort.storage.layout import RUN

__all__ = ["EXPORTED", "needs_own_code", "separator_text", "write_layout"]

EXPORTED = Path(__file__).parent / "exported"  # modules that are written beside a model
PACKAGE = "sentence_transformers"
ROUTER = f"{PACKAGE}.base.modules.router.Router"
TRANSFORMER = f"{PACKAGE}.base.modules.transformer.Transformer"
POOLING = f"{PACKAGE}.sparse_encoder.modules.splade_pooling.SpladePooling"
# What a checkpoint holds for sentence-transformers alone; a Router's parts stand in folders of their own.
ROOT_FILES = ("modules.json", "config_sentence_transformers.json")


def needs_own_code(run: Run) -> bool:
    """Whether the exported directory loads with ``trust_remote_code=True`` alone."""
    return run.config.encoder.family == "lexical" or run.student.limits != Limits()


def separator_text(run: Run) -> str:
    """What stands between the messages of a context in its text."""
    separator = run.config.context.separator
    return run.tokenizer.token(run.tokenizer.sep_id) if separator == SEPARATOR_TOKEN else separator


def write_layout(run: Run, vectors: Folder, target: Path) -> None:
    """Write a run's encoders into an empty directory.

    Args:
        run: Its student.
        vectors: Of the passages that its queries are for; the lexical family's statistics are read from them.
        target: The directory.
    """
    if run.config.encoder.family == "lexical":
        _write_lexical(run, vectors, target)
    else:
        _write_splade(run, vectors, target)


def _write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_root(target: Path, module: str) -> None:
    _write_json(target / "modules.json", [{"idx": 0, "name": "0", "path": "", "type": module}])
    settings = {"model_type": "SparseEncoder", "prompts": {}, "similarity_fn_name": "dot"}
    _write_json(target / "config_sentence_transformers.json", settings)


def _write_lexical(run: Run, vectors: Folder, target: Path) -> None:
    shutil.copytree(run.folder.local_tree(RUN.checkpoint), target, dirs_exist_ok=True)
    counts, tokenizer = vectors.require("prepare it first: retort prepare --help").counts, run.tokenizer
    encoder, context, limits = run.config.encoder, run.config.context, run.student.limits
    separator = separator_text(run)
    settings: dict[str, Any] = {
        "query_tokens": encoder.query_tokens,
        "passage_tokens": encoder.passage_tokens,
        "context_order": context.order,
        "separator": separator,
        "separator_is_sep": context.separator == SEPARATOR_TOKEN,
        "cls_id": tokenizer.cls_id,
        "sep_id": tokenizer.sep_id,
        "pad_id": tokenizer.pad_id,
        "unk_id": tokenizer.unk_id,
        "special_ids": tokenizer.special_ids.tolist(),
        "max_terms": limits.max_terms,
        "threshold": limits.threshold,
        "cost_threshold": limits.cost_threshold,
        "k1": encoder.k1,
        "b": encoder.b,
        "passages": int(counts["passages"]),
        "mean_length": float(counts["mean_length"]),
    }
    _write_json(target / "lexical_config.json", settings)
    frequency = torch.from_numpy(vectors.read_array("document_frequency.npy", mapped=False))
    save_file({"document_frequency": frequency}, target / "bm25.safetensors")
    shutil.copyfile(EXPORTED / "retort_lexical.py", target / "retort_lexical.py")
    _write_root(target, "retort_lexical.LexicalEncoder")


def _write_splade(run: Run, vectors: Folder, target: Path) -> None:
    types: dict[str, str] = {}
    structure: dict[str, list[str]] = {"query": [], "document": []}

    def part(route: str, kind: str, module: str) -> Path:
        name = f"{route}_{len(structure[route])}_{kind}"
        types[name] = module
        structure[route].append(name)
        return target / name

    query = part("query", "Transformer", TRANSFORMER)
    shutil.copytree(run.folder.local_tree(RUN.checkpoint), query)
    if run.config.context.order == "oldest_first":
        _cut_at_the_left(query / "tokenizer_config.json")
    document = part("document", "Transformer", TRANSFORMER)
    if run.config.trains_passages:
        shutil.copytree(run.folder.local_tree(RUN.passage_checkpoint), document)
    else:
        encoder, tokenizer = run.config.encoder, Tokenizer(vectors.local_tree("tokenizer"))
        passages = initial_student(encoder, tokenizer).eval()
        save_student(passages, document, tokenizer=tokenizer, max_tokens=encoder.passage_tokens)
    for route, directory in (("query", query), ("document", document)):
        for name in ROOT_FILES:
            (directory / name).unlink()
        (directory / "1_SpladePooling").rename(part(route, "SpladePooling", POOLING))
    if run.student.limits != Limits():
        limits: dict[str, Any] = {"max_terms": run.student.limits.max_terms, "threshold": run.student.limits.threshold}
        least = run.student.limits.least_weights()
        limits["least_weights"] = None if least is None else least.tolist()
        _write_json(part("query", "QueryLimits", "retort_limits.QueryLimits") / "config.json", limits)
        shutil.copyfile(EXPORTED / "retort_limits.py", target / "retort_limits.py")
    parameters = {"default_route": "query", "allow_empty_key": True, "route_mappings": {}}
    _write_json(target / "router_config.json", {"types": types, "structure": structure, "parameters": parameters})
    _write_root(target, ROUTER)


def _cut_at_the_left(path: Path) -> None:
    # The oldest message stands first, and it is what goes where a context is too long.
    settings = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    _write_json(path, settings | {"truncation_side": "left"})
