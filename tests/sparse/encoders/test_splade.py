"""The SPLADE encoder against sentence-transformers on the same checkpoint, and what it refuses."""

import numpy as np
import pytest
import torch
from sentence_transformers import SparseEncoder
from torch import nn
from transformers import AutoModelForMaskedLM, BertConfig, BertForSequenceClassification

from retort.config import EncoderConfig
from retort.errors import ConfigError
from retort.sparse.encoders.encoder import encode_ids, initial_student, load_student, save_student
from retort.sparse.encoders.packing import pack
from retort.sparse.encoders.splade import SpladeEncoder, tiny_masked_lm

ARCHITECTURES = ["BertForMaskedLM", "DistilBertForMaskedLM", "RobertaForMaskedLM", "ModernBertForMaskedLM"]
ALL_ARCHITECTURES = [*ARCHITECTURES, "CamembertForMaskedLM", "XLMRobertaForMaskedLM", "ElectraForMaskedLM"]


def splade(model, **settings):
    return EncoderConfig(
        family="splade", model=str(model), query_tokens=32, rewrite_tokens=32, passage_tokens=32, **settings
    )


def input_ids(tokenizer, texts):
    return [tokenizer.context_ids(text, [], order="newest_first", max_tokens=32) for text in texts]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_saved_students_vectors_are_sentence_transformers_own(
    architecture, saved_masked_lm, tokenizer, texts, tmp_path
):
    student = initial_student(splade(saved_masked_lm(architecture)), tokenizer).eval()
    save_student(student, tmp_path / "checkpoint", tokenizer=tokenizer, max_tokens=32)
    asked = (*texts, "retort", "a book?")
    found = encode_ids(student, input_ids(tokenizer, asked)).to_scipy().toarray()
    theirs = SparseEncoder(str(tmp_path / "checkpoint"), device="cpu")
    expected = theirs.encode(list(asked), convert_to_sparse_tensor=False, show_progress_bar=False)

    assert theirs.max_seq_length == 32
    assert np.count_nonzero(found) > 20
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5, rtol=1e-5)
    loaded, its_tokenizer = load_student(tmp_path / "checkpoint")
    again = encode_ids(loaded, input_ids(its_tokenizer, asked))
    np.testing.assert_array_equal(again.to_scipy().toarray(), found)


@pytest.mark.parametrize("architecture", ALL_ARCHITECTURES)
def test_values_and_gradients_are_those_of_the_whole_logits(architecture, saved_masked_lm, padded, tokenizer, texts):
    model = AutoModelForMaskedLM.from_pretrained(saved_masked_lm(architecture)).eval()
    packed, lengths = pack(input_ids(tokenizer, texts))
    ids, mask = padded(packed, lengths)
    logits = model(input_ids=ids, attention_mask=mask).logits
    expected = torch.log1p(torch.relu(logits)) * mask.unsqueeze(2)
    expected = expected.max(dim=1).values
    upstream = torch.randn(expected.shape, generator=torch.Generator().manual_seed(0))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    wanted = torch.autograd.grad(expected, trained, upstream, allow_unused=True)
    found = SpladeEncoder(model)(packed, lengths)
    got = torch.autograd.grad(found, trained, upstream, allow_unused=True)

    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert sum(gradient is not None for gradient in got) > 10
    for mine, theirs in zip(got, wanted, strict=True):
        assert (mine is None) == (theirs is None)
        if mine is not None:
            # float32 sums are as exact as their largest terms.
            scale = max(1.0, float(theirs.abs().max()))
            torch.testing.assert_close(mine / scale, theirs / scale, atol=1e-5, rtol=1e-5)


def test_a_directory_that_is_no_masked_lm_is_refused(tmp_path, tokenizer):
    config = BertConfig(vocab_size=40, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    BertForSequenceClassification(config).save_pretrained(tmp_path)

    with pytest.raises(ConfigError, match=r"is no masked LM .*BertForSequenceClassification.*needs one, such as"):
        initial_student(splade(tmp_path), tokenizer)


class CappedMaskedLM(nn.Module):
    """Caps its logits after the output embedding, as some models do."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.device = torch.device("cpu")

    def get_output_embeddings(self):
        return self.inner.get_output_embeddings()

    def forward(self, **inputs):
        output = self.inner(**inputs)
        output.logits = torch.tanh(output.logits)
        return output


class WithoutProjection(CappedMaskedLM):
    """Has no output embedding at all."""

    def get_output_embeddings(self):
        return None


def test_a_model_whose_logits_are_not_its_projections_is_refused(masked_lm):
    model = masked_lm("BertForMaskedLM")

    with pytest.raises(ConfigError, match="CappedMaskedLM changes its logits after the output embedding"):
        SpladeEncoder(CappedMaskedLM(model))
    with pytest.raises(ConfigError, match="WithoutProjection has no linear output embedding"):
        SpladeEncoder(WithoutProjection(model))


@pytest.mark.parametrize("family", ["splade", "lexical"])
@pytest.mark.parametrize("architecture", ["BertForMaskedLM", "DistilBertForMaskedLM"])
def test_more_layers_or_tokens_than_the_model_has_are_refused(family, architecture, saved_masked_lm, tokenizer):
    # transformers would fill further layers with random weights and say nothing.
    settings = {**splade(saved_masked_lm(architecture)).model_dump(), "family": family}

    with pytest.raises(ConfigError, match=r"encoder\.layers: 3 asked for, the model has 2"):
        initial_student(EncoderConfig(**{**settings, "layers": 3}), tokenizer)
    with pytest.raises(ConfigError, match="encoder: 65 tokens asked for, the model reads up to 64"):
        initial_student(EncoderConfig(**{**settings, "query_tokens": 65}), tokenizer)


def test_layers_keeps_the_lowest_ones(saved_masked_lm, tokenizer):
    directory = saved_masked_lm("BertForMaskedLM")
    whole, lowest = (initial_student(splade(directory, layers=layers), tokenizer) for layers in (None, 1))

    assert [len(student.masked_lm.bert.encoder.layer) for student in (whole, lowest)] == [2, 1]
    torch.testing.assert_close(
        lowest.masked_lm.bert.encoder.layer[0].state_dict(), whole.masked_lm.bert.encoder.layer[0].state_dict()
    )


def test_the_tiny_model_favours_the_texts_own_words_and_is_always_the_same(tokenizer, texts):
    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    models = [tiny_masked_lm(tokenizer.vocabulary_size, hidden_size=32, layers=1, max_tokens=32) for _ in range(2)]
    assert torch.equal(torch.random.get_rng_state(), before)
    ids = input_ids(tokenizer, texts)
    first, second = (encode_ids(SpladeEncoder(model).eval(), ids) for model in models)

    np.testing.assert_array_equal(first.values, second.values)
    for row, text in enumerate(ids):
        active, _ = first.row(row)
        assert set(text.tolist()) <= set(active.tolist())
        assert len(active) < 2 * len(set(text.tolist()))
