"""Local transformers models as a back-end: sequence-to-sequence ones (T5 on CANARD), and causal ones with a chat template.

A prompt that is too long for the model loses the oldest messages of the conversation, never a part of the question or of
the instructions.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from retort.config import RewritingConfig
from retort.errors import ConfigError
from retort.identity import file_digest
from retort.records import Turn
from retort.sparse.encoders.models import WEIGHTS, download
from retort.teachers.prompts import Ask, Prompt, ask_for
from retort.teachers.rewriter import Answer, cut_answer

__all__ = ["LocalModel", "check_local", "local_digest"]

TEXT_FILES: Final = ("*.json", "*.txt", "*.model", "*.jinja")
T5_TOKENS: Final = 512  # that sequence-to-sequence models without an own limit (relative positions) were trained on


def _directory(model: str) -> Path:
    path = Path(model).expanduser()
    return path if path.is_dir() else download(model, TEXT_FILES, setting="model")


def _settings(path: Path, model: str) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError([f"model: {model} holds no transformers model: {error}"]) from error
    return data


def check_local(settings: RewritingConfig) -> None:
    """Find out, without loading it, whether a model is there and can write.

    Raises:
        ConfigError: If not.
    """
    path = _directory(settings.model)
    architectures = _settings(path, settings.model).get("architectures") or []
    if not any(name.endswith(("ForConditionalGeneration", "ForCausalLM", "LMHeadModel")) for name in architectures):
        named = architectures or "no architecture"
        problem = (
            f"model: {settings.model} writes no text (its config.json names {named}); name a causal or a T5-like model"
        )
        raise ConfigError([problem])


def local_digest(model: str) -> str:
    """SHA-256 over the content of a model's files, wherever they lie."""
    path = _directory(model)
    digest = hashlib.sha256()
    for file in sorted({file for pattern in (*TEXT_FILES, *WEIGHTS) for file in path.glob(pattern)}):
        digest.update(file.name.encode())
        digest.update(file_digest(file).encode())
    return digest.hexdigest()


class LocalModel:
    """Asks a model in this process; see ``retort.teachers.rewriter.Answerer``.

    Args:
        settings: The teacher's settings.

    Raises:
        ConfigError: If the model is not there, or is a causal one without a chat template.
    """

    def __init__(self, settings: RewritingConfig) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

        check_local(settings)
        path = _directory(settings.model)
        self._settings = settings
        self._torch = torch
        self._tokenizer: Any = AutoTokenizer.from_pretrained(path)
        self._pairs = bool(_settings(path, settings.model).get("is_encoder_decoder"))
        types = {"auto": "auto", "fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        kind = AutoModelForSeq2SeqLM if self._pairs else AutoModelForCausalLM
        loaded: Any = kind.from_pretrained(path, dtype=types[settings.precision])
        self._model: Any = loaded.to(self._device).eval()
        if not self._pairs and self._tokenizer.chat_template is None:
            problem = (
                f"model: {settings.model} has no chat template, so it is no chat model; name its instruction-tuned version, "
                "or serve it behind an endpoint that brings a template"
            )
            raise ConfigError([problem])
        # A decoder goes on behind the last token: that must be the prompt's, not padding.
        self._tokenizer.padding_side = "right" if self._pairs else "left"
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._budget = self._readable() - (0 if self._pairs else settings.max_new_tokens)
        if self._budget < 1:
            raise ConfigError(
                [
                    f"max_new_tokens: {settings.max_new_tokens} leave no room for a prompt; {settings.model} reads "
                    f"{self._readable()} tokens in all"
                ]
            )

    def _readable(self) -> int:
        config = self._model.config
        own = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
        limit = min(own or 2**31, self._tokenizer.model_max_length or 2**31)
        # Tokenisers without a limit say so with 10^30.
        return int(limit) if limit < 2**30 else T5_TOKENS if self._pairs else 2**30

    def newest_that_fit(self, turn: Turn, prompt: Prompt) -> int | None:
        """By bisection: the prompt grows with every message of the history."""

        def fits(newest: int) -> bool:
            return self._tokens(self._text(ask_for(turn, prompt, newest=newest))) <= self._budget

        low, high = 0, len(turn.history)
        if fits(high):
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        return low

    def _text(self, ask: Ask) -> str:
        if self._pairs:
            return ask.one_message
        from jinja2.exceptions import TemplateError

        try:
            return self._chat(ask.messages)
        except TemplateError:
            if ask.system is None:
                raise
            # Some models know no system message.
            return self._chat([{"role": "user", "content": ask.one_message}])

    def _chat(self, messages: list[dict[str, str]]) -> str:
        return str(self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    def __call__(self, asks: Sequence[Ask], on_answer: Callable[[int, Answer], None]) -> None:
        """Answer in batches of ``batch_turns``, prompts of like length together."""
        texts = [self._text(ask) for ask in asks]
        tokens = [self._tokens(text) for text in texts]
        for number, count in enumerate(tokens):
            if count > self._budget:
                reason = f"the prompt has {count} tokens without any history; the model reads {self._budget}"
                on_answer(number, Answer(None, reason))
        order = sorted((n for n, count in enumerate(tokens) if count <= self._budget), key=lambda n: tokens[n])
        size = self._settings.batch_turns
        for first in range(0, len(order), size):
            numbers = order[first : first + size]
            for number, answer in zip(numbers, self._answers([texts[number] for number in numbers]), strict=True):
                on_answer(number, answer)

    def _tokens(self, text: str) -> int:
        # A chat template writes the special tokens itself.
        return len(self._tokenizer(text, add_special_tokens=self._pairs)["input_ids"])

    def _answers(self, texts: list[str]) -> list[Answer]:
        settings, torch = self._settings, self._torch
        batch = self._tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=self._pairs)
        batch.pop("token_type_ids", None)
        lengths = batch["attention_mask"].sum(dim=1).tolist()
        sampled: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if settings.temperature > 0:
            torch.manual_seed(settings.seed)
            sampled = {"do_sample": True, "temperature": settings.temperature, "top_p": 1.0, "top_k": 0}
        with torch.inference_mode():
            written = self._model.generate(
                **batch.to(self._device),
                max_new_tokens=settings.max_new_tokens,
                pad_token_id=self._tokenizer.pad_token_id,
                **sampled,
            )
        new = written if self._pairs else written[:, batch["input_ids"].shape[1] :]
        return [self._answer(ids, int(length)) for ids, length in zip(new.tolist(), lengths, strict=True)]

    def _answer(self, ids: list[int], prompt_tokens: int) -> Answer:
        limit = self._settings.max_new_tokens
        ends = self._ends()
        own = ids[1:] if self._pairs else ids  # a decoder of a pair begins with a token that nobody wrote
        end = next((place for place, token in enumerate(own) if token in ends), None)
        text = self._tokenizer.decode(own[:end], skip_special_tokens=True)
        written = len(own) if end is None else end + 1
        if end is None and len(own) >= limit:
            return cut_answer(limit, prompt_tokens, written)
        return Answer(text, "", prompt_tokens, written)

    def _ends(self) -> set[int]:
        end = self._model.generation_config.eos_token_id
        return set(end) if isinstance(end, list) else {end} if end is not None else set()
