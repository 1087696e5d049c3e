"""What the tests of sparse share: one torch thread, a small tokeniser of its own, and tiny random masked LMs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    CamembertConfig,
    CamembertForMaskedLM,
    DistilBertConfig,
    DistilBertForMaskedLM,
    ElectraConfig,
    ElectraForMaskedLM,
    ModernBertConfig,
    ModernBertForMaskedLM,
    PreTrainedModel,
    RobertaConfig,
    RobertaForMaskedLM,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
)

from retort.sparse.tokens import Tokenizer, build_word_tokenizer

TEXTS = (
    "who wrote the book about the retort",
    "the retort is a vessel in which one distils",
    "and when was it written? in 1953, by a chemist",
    "a quick reply in a conversation is a retort too",
)


@pytest.fixture(scope="session")
def padded(tokenizer: Tokenizer) -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    """Makes of packed texts the padded batch and its mask, (B, L) each, that transformers' models are usually given."""

    def call(input_ids: torch.Tensor, lengths: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
        texts = list(input_ids.split(lengths))
        ids = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True, padding_value=tokenizer.pad_id)
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(text) for text in texts], batch_first=True)
        return ids, mask

    return call


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    directory = tmp_path_factory.mktemp("tokenizer")
    build_word_tokenizer(TEXTS, vocabulary_size=200, directory=directory)
    return Tokenizer(directory)


@pytest.fixture(scope="session")
def texts() -> tuple[str, ...]:
    return TEXTS


@pytest.fixture
def masked_lm(tokenizer: Tokenizer) -> Callable[[str], PreTrainedModel]:
    """Makes a randomly initialised masked LM of one architecture over the tokeniser's vocabulary."""

    def make(name: str) -> PreTrainedModel:
        size = {"vocab_size": tokenizer.vocabulary_size, "pad_token_id": tokenizer.pad_id}
        usual = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
        torch.manual_seed(3)
        if name == "BertForMaskedLM":
            return BertForMaskedLM(BertConfig(**size, **usual, max_position_embeddings=64))
        if name == "DistilBertForMaskedLM":
            small = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}
            return DistilBertForMaskedLM(DistilBertConfig(**size, **small, max_position_embeddings=64))
        if name == "ElectraForMaskedLM":
            return ElectraForMaskedLM(ElectraConfig(**size, **usual, embedding_size=16, max_position_embeddings=64))
        like_roberta = {
            "RobertaForMaskedLM": (RobertaForMaskedLM, RobertaConfig),
            "CamembertForMaskedLM": (CamembertForMaskedLM, CamembertConfig),
            "XLMRobertaForMaskedLM": (XLMRobertaForMaskedLM, XLMRobertaConfig),
        }
        if name in like_roberta:
            model, config_of = like_roberta[name]
            return model(config_of(**size, **usual, max_position_embeddings=70, type_vocab_size=1))
        special = {
            "bos_token_id": tokenizer.cls_id,
            "eos_token_id": tokenizer.sep_id,
            "cls_token_id": tokenizer.cls_id,
            "sep_token_id": tokenizer.sep_id,
        }
        # Windows of 9 tokens in one of the two layers, so that texts are longer than a window.
        config = ModernBertConfig(
            **size, **usual, **special, max_position_embeddings=64, local_attention=8, global_attn_every_n_layers=2
        )
        return ModernBertForMaskedLM(config)

    return make


@pytest.fixture
def saved_masked_lm(
    masked_lm: Callable[[str], PreTrainedModel], tokenizer: Tokenizer, tmp_path: Path
) -> Callable[[str], Path]:
    """Saves such a model with its tokeniser, as a user's local model directory."""

    def save(name: str) -> Path:
        directory = tmp_path / name
        model = masked_lm(name)
        with torch.no_grad():
            for parameter in model.parameters():
                # Far from the initial near-zero weights, so that logits differ from one another by more than a rounding.
                parameter.add_(
                    0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
                )
        model.save_pretrained(directory)
        for file in tokenizer.directory.iterdir():
            (directory / file.name).write_bytes(file.read_bytes())
        return directory

    return save
