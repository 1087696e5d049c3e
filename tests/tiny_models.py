"""Tiny text-writing models with random weights, saved as any other: a T5, and a causal one with a chat template.

Of real ones they keep their files, their tokeniser's special tokens, and that an answer ends with an end token; so that
random weights come to an end at all, every ninth token ends it.
"""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

TEMPLATE = (
    "{% for message in messages %}{% if message.role == 'system' and refuse %}{{ raise_exception('no system') }}{% endif %}"
    "<{{ message.role }}>{{ message.content }}</s>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
SPECIAL = ["<pad>", "</s>", "<unk>"]


def _tokenizer(directory: Path, *, ends: bool, template: str | None, longest: int) -> int:
    characters = [chr(code) for code in range(32, 127)]
    roles = ["<user>", "<system>", "<assistant>"]
    vocabulary = {token: place for place, token in enumerate([*SPECIAL, *roles, *characters])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace("\n", " ")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    if ends:
        tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=roles,
        model_max_length=longest,
    )
    fast.chat_template = template
    fast.save_pretrained(directory)
    return len(vocabulary)


def tiny_t5(directory: Path, *, longest: int = 512) -> Path:
    """A T5 that reads so many characters."""
    size = _tokenizer(directory, ends=True, template=None, longest=longest)
    torch.manual_seed(1)
    config = T5Config(
        vocab_size=size, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, decoder_start_token_id=0, initializer_factor=8.0,
        pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    model = T5ForConditionalGeneration(config)
    _save(model, directory, size)
    return directory


def tiny_chat(directory: Path, *, longest: int = 4096, template: str | None = TEMPLATE) -> Path:
    """A causal model that reads so many characters."""
    size = _tokenizer(directory, ends=False, template=template, longest=longest)
    torch.manual_seed(2)
    config = LlamaConfig(
        vocab_size=size, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, initializer_range=0.8,
        max_position_embeddings=longest, pad_token_id=0, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    _save(LlamaForCausalLM(config), directory, size)
    return directory


def _save(model: torch.nn.Module, directory: Path, size: int) -> None:
    model.generation_config.eos_token_id = [1, *range(8, size, 9)]
    model.save_pretrained(directory)
