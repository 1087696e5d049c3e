"""From the configuration to a student, from a checkpoint to a student, from input ids to vectors.

How a model's files are found stands in ``models.py``. A checkpoint is a directory: the splade family's loads in
sentence-transformers as it is, the lexical family's holds the body as transformers writes it and the weighing head beside it.

Shapes: N texts, V vocabulary entries.
"""

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, PretrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from retort.config import EncoderConfig
from retort.errors import ConfigError
from retort.sparse.encoders.lexical import LexicalStudent
from retort.sparse.encoders.models import check_model, longest_input, model_directory
from retort.sparse.encoders.packing import pack
from retort.sparse.encoders.splade import SpladeEncoder, masked_lm_over_body, tiny_masked_lm
from retort.sparse.objective.regularizers import Limits
from retort.sparse.tokens import Tokenizer
from retort.sparse.vectors import Int32, SparseVectors

__all__ = [
    "QueryEncoder",
    "encode_ids",
    "initial_student",
    "load_student",
    "parameter_groups",
    "save_student",
    "say_slow_bfloat16",
]

QueryEncoder = LexicalStudent | SpladeEncoder

logger = logging.getLogger("retort")

CHECKPOINT = "retort.json"
HEAD = "head.safetensors"
SHARE = "passage_share.safetensors"  # of a student whose terms were pruned by their cost
# Tokens that are read together when encoding: enough for full speed, and on a processor little enough for its cache.
BATCH_TOKENS = {"cpu": 2048, "cuda": 32_768}
# A MiniLM body without a trained head: its logits then keep about 190 entries of a passage, as a trained SPLADE does.
MINILM_BIAS = -6.0


def _without_noise(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    # transformers reports every layer that is left out on purpose, and draws a bar for 50 milliseconds of work.
    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        return call(*args, **kwargs)
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()


def _model_settings(directory: Path, layers: int | None) -> PretrainedConfig:
    settings: PretrainedConfig = AutoConfig.from_pretrained(directory)
    if layers is not None:
        settings.num_hidden_layers = layers
    return settings


def _body(directory: Path, layers: int | None) -> PreTrainedModel:
    settings = _model_settings(directory, layers)
    extra = {"add_pooling_layer": False} if settings.model_type in {"bert", "roberta"} else {}
    body: PreTrainedModel = _without_noise(
        AutoModel.from_pretrained, directory, config=settings, dtype=torch.float32, **extra
    )
    return body


def initial_student(config: EncoderConfig, tokenizer: Tokenizer) -> QueryEncoder:
    """The student before training: the teacher's own encoder (splade), or a bag of words (lexical).

    Raises:
        ConfigError: If the model cannot be had or does not fit the configuration.
    """
    check_model(config)
    directory = model_directory(config)
    longest = longest_input(config)
    if config.family == "lexical":
        if directory is None:
            return LexicalStudent.tiny(
                tokenizer.vocabulary_size,
                tokenizer.special_ids.tolist(),
                hidden_size=config.hidden_size,
                layers=config.layers,
                max_tokens=longest,
            )
        body = _body(directory, config.layers)
        return LexicalStudent(
            body, special_ids=tokenizer.special_ids.tolist(), vocabulary_size=tokenizer.vocabulary_size
        )
    if directory is None:
        return SpladeEncoder(
            tiny_masked_lm(
                tokenizer.vocabulary_size,
                hidden_size=config.hidden_size,
                layers=config.layers,
                max_tokens=longest,
            )
        )
    if config.model == "minilm":
        body = _body(directory, config.layers)
        return SpladeEncoder(masked_lm_over_body(body, bias=MINILM_BIAS))  # type: ignore[arg-type]
    settings = _model_settings(directory, config.layers)
    return SpladeEncoder(
        _without_noise(AutoModelForMaskedLM.from_pretrained, directory, config=settings, dtype=torch.float32)
    )


def save_student(student: QueryEncoder, directory: Path, *, tokenizer: Tokenizer, max_tokens: int) -> None:
    """Write a checkpoint directory.

    The splade family's is the layout of sentence-transformers (a masked LM at its root, SPLADE pooling beside it).
    """
    directory.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        if (tokenizer.directory / name).is_file():
            shutil.copyfile(tokenizer.directory / name, directory / name)
    if isinstance(student, LexicalStudent):
        _without_noise(student.body.save_pretrained, directory)
        save_file({name: value.contiguous() for name, value in student.head.state_dict().items()}, directory / HEAD)
        family = "lexical"
    else:
        _without_noise(student.masked_lm.save_pretrained, directory)
        _write_sentence_transformers(directory, max_tokens)
        family = "splade"
    settings: dict[str, object] = {"format": 1, "family": family, "query_tokens": max_tokens}
    if student.limits != Limits():
        settings["limits"] = student.limits.settings()
        if student.limits.passage_share is not None:
            save_file({"passage_share": student.limits.passage_share.float().contiguous()}, directory / SHARE)
    (directory / CHECKPOINT).write_text(json.dumps(settings) + "\n")


def _write_sentence_transformers(directory: Path, max_tokens: int) -> None:
    package = "sentence_transformers"
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": f"{package}.base.modules.transformer.Transformer"},
        {
            "idx": 1,
            "name": "1",
            "path": "1_SpladePooling",
            "type": f"{package}.sparse_encoder.modules.splade_pooling.SpladePooling",
        },
    ]
    pooling = {"pooling_strategy": "max", "activation_function": "relu", "embedding_dimension": None}
    settings = {"model_type": "SparseEncoder", "prompts": {}, "similarity_fn_name": "dot"}
    transformer = {"transformer_task": "fill-mask", "max_seq_length": max_tokens}
    (directory / "1_SpladePooling").mkdir(exist_ok=True)
    for name, content in (
        ("modules.json", modules),
        ("1_SpladePooling/config.json", pooling),
        ("config_sentence_transformers.json", settings),
        ("sentence_bert_config.json", transformer),
    ):
        (directory / name).write_text(json.dumps(content, indent=1) + "\n")


def load_student(directory: Path) -> tuple[QueryEncoder, Tokenizer]:
    """Load a checkpoint that ``save_student`` wrote, ready to encode.

    Raises:
        ConfigError: If the directory is no checkpoint of Retort.
    """
    marker = directory / CHECKPOINT
    if not marker.is_file():
        raise ConfigError([f"{directory} is no checkpoint: it has no {CHECKPOINT}"])
    settings = json.loads(marker.read_text())
    family = settings["family"]
    tokenizer = Tokenizer(directory)
    student: QueryEncoder
    if family == "lexical":
        body = _body(directory, None)
        student = LexicalStudent(
            body, special_ids=tokenizer.special_ids.tolist(), vocabulary_size=tokenizer.vocabulary_size
        )
        student.head.load_state_dict(load_file(directory / HEAD))
    else:
        student = SpladeEncoder(_without_noise(AutoModelForMaskedLM.from_pretrained, directory, dtype=torch.float32))
    share = load_file(directory / SHARE)["passage_share"] if (directory / SHARE).is_file() else None
    # None in a checkpoint from before there were any.
    student.limits = Limits(**settings.get("limits", {}), passage_share=share)
    return student.eval(), tokenizer


def parameter_groups(student: QueryEncoder, *, learning_rate: float, head_factor: float) -> list[dict[str, Any]]:
    """AdamW's parameter groups: the weighing head of the lexical family learns ``head_factor`` times as fast."""
    head: list[nn.Parameter] = list(student.head.parameters()) if isinstance(student, LexicalStudent) else []
    mine = {id(parameter) for parameter in head}
    body = [p for p in student.parameters() if p.requires_grad and id(p) not in mine]
    groups = [{"params": body, "lr": learning_rate}]
    return groups + ([{"params": head, "lr": learning_rate * head_factor}] if head else [])


def say_slow_bfloat16(device: torch.device) -> None:
    """Say so where bfloat16 is asked of a processor that computes it in software."""
    if device.type == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        logger.warning("this processor computes bfloat16 in software, about ten times slower than float32")


@torch.inference_mode()
def encode_ids(
    student: QueryEncoder,
    sequences: Sequence[Int32],
    *,
    precision: Literal["fp32", "bf16_scan", "bf16"] = "fp32",
    batch_tokens: int | None = None,
) -> SparseVectors:
    """Encode input ids to sparse vectors, in order.

    Args:
        student: Used as it is; call ``eval()`` before, for no dropout.
        sequences: Input ids, special tokens included.
        precision: ``bf16_scan`` looks for the SPLADE head's maxima in bfloat16 and scores them in float32; ``bf16`` runs
            the body in bfloat16 too.
        batch_tokens: Tokens that are read together, a longer text alone; None: what suits the device.

    Returns:
        (N, V).
    """
    device = next(student.parameters()).device
    if batch_tokens is None:
        batch_tokens = BATCH_TOKENS.get(device.type, BATCH_TOKENS["cpu"])
    scan = {"scan": torch.bfloat16} if precision == "bf16_scan" and isinstance(student, SpladeEncoder) else {}
    # Texts of like length side by side: a body that needs padding then needs little.
    order = np.argsort([len(ids) for ids in sequences], kind="stable")[::-1]
    rows: list[tuple[np.ndarray, np.ndarray]] = [(np.empty(0), np.empty(0))] * len(sequences)
    start = 0
    while start < len(order):
        size = max(1, batch_tokens // max(1, len(sequences[order[start]])))
        batch = order[start : start + size]
        input_ids, lengths = pack([sequences[number] for number in batch])
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
            dense = student(input_ids.to(device), lengths, **scan).float().cpu().numpy()
        for place, number in enumerate(batch):
            (active,) = np.nonzero(dense[place] > 0)
            rows[number] = (active.astype(np.int32), dense[place, active])
        start += size
    return SparseVectors.from_rows(rows, student.vocabulary_size)
