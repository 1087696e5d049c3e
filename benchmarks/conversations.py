"""A small workspace of real conversations for the benchmarks: some turns of MT-RAG, their passages and others.

Anything in TopiOCQA's format will do: a folder with ``topics_train.json``, ``collection.tsv``, ``qrels_train.txt`` and
``rewrites_train.jsonl``. The workspace is kept below ``benchmarks/.workspaces/`` and made again only if it is missing.
"""

import csv
import json
import shutil
import sys
from pathlib import Path

from retort.cli import main as retort
from retort.config import ExperimentConfig, experiment_from, with_overrides
from retort.progress import silent
from retort.shards.prepare import Prepared, prepare
from retort.shards.session import ensure_ray
from retort.storage import Workspace

KEPT = Path(__file__).parent / ".workspaces"
EXPERIMENT = {
    "corpus": {"train": "train", "validate": None, "evaluate": None},
    "teacher": {"names": ["rewriter"], "top_k": 1000},
    "sampling": {"count": 16, "window": [0, 300]},
    "objective": {"contrastive_weight": 0.0},
    "regularization": {"query": "none"},
    "training": {"epochs": 1, "batch_turns": 5, "learning_rate": 2e-5},
}
SPLADE = {"family": "splade", "query_tokens": 256, "passage_tokens": 256, "rewrite_tokens": 256, "score_scale": 0.25}


def experiment(model: str, **overrides: object) -> ExperimentConfig:
    """The experiment that is timed: the paper's shape of a step, on the given model."""
    data = EXPERIMENT | {"encoder": SPLADE | {"model": model}}
    return experiment_from(with_overrides(data, {key.replace("__", "."): value for key, value in overrides.items()}))


def bert_base_directory(tokenizer_of: Path) -> Path:
    """A BERT-base masked LM without trained weights: its size and its speed are what is measured.

    Its logits favour the text's own words, so that passages have about as many active entries as a trained SPLADE's.
    """
    directory = KEPT / "bert-base"
    if not (directory / "config.json").exists():
        import torch
        from torch import nn
        from transformers import BertConfig, BertModel

        from retort.sparse.encoders.splade import masked_lm_over_body

        torch.manual_seed(0)
        body = BertModel(BertConfig(), add_pooling_layer=False)
        nn.init.normal_(body.embeddings.word_embeddings.weight, std=1.0)
        masked_lm_over_body(body, bias=-4.0 * 768**0.5).save_pretrained(directory)
        for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
            if (tokenizer_of / name).exists():
                shutil.copyfile(tokenizer_of / name, directory / name)
    return directory


def conversations(source: Path, *, turns: int, passages: int) -> Workspace:
    """A workspace with the first turns of the training split, their positives, and as many other passages as asked for."""
    root = KEPT / f"conversations-{turns}-{passages}"
    if (root / "rewrites" / "rewriter" / "train" / "record.json").exists():
        return Workspace(root)
    if not (source / "topics_train.json").exists():
        sys.exit(
            f"{source} holds no topics_train.json: name a folder of conversations in TopiOCQA's format with --data"
        )
    files = KEPT / f"files-{turns}-{passages}"
    files.mkdir(parents=True, exist_ok=True)
    topics = json.loads((source / "topics_train.json").read_text(encoding="utf-8"))[:turns]
    (files / "topics.json").write_text(json.dumps(topics), encoding="utf-8")
    asked = {f"{topic['conv_id']}_{topic['turn_id']}" for topic in topics}
    judged = [line.split() for line in (source / "qrels_train.txt").read_text(encoding="utf-8").splitlines()]
    kept = [line for line in judged if line[0] in asked]
    (files / "qrels.txt").write_text("".join(" ".join(line) + "\n" for line in kept), encoding="utf-8")
    relevant = {line[2] for line in kept}
    with (source / "collection.tsv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    others = [row for row in rows[1:] if row[0] not in relevant]
    step = max(1, len(others) // max(1, passages - len(relevant)))
    chosen = [row for row in rows[1:] if row[0] in relevant] + others[::step][: max(0, passages - len(relevant))]
    lines = ["\t".join(row) + "\n" for row in [rows[0], *chosen]]
    (files / "collection.tsv").write_text("".join(lines), encoding="utf-8")
    rewrites = (source / "rewrites_train.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (files / "rewrites.jsonl").write_text(
        "".join(r for r in rewrites if json.loads(r)["id"] in asked), encoding="utf-8"
    )
    shutil.rmtree(root, ignore_errors=True)
    where = ["--split", "train", "--workspace", str(root)]
    words = ["import", "topiocqa", files / "topics.json", files / "collection.tsv", "--qrels", files / "qrels.txt"]
    for command in ([*words, *where], ["rewrites", "add", files / "rewrites.jsonl", "--teacher", "rewriter", *where]):
        if code := retort([str(word) for word in command]):
            sys.exit(code)
    return Workspace(root)


def prepared(workspace: Workspace, config: ExperimentConfig) -> Prepared:
    """Its stages, made where they are missing."""
    ensure_ray()
    return prepare(workspace, config, silent)
