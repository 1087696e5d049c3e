"""Models by name: their digests, and what is refused before anything is loaded."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from tests.waiting import patience

from retort.config import EncoderConfig
from retort.errors import ConfigError
from retort.sparse.encoders.models import model_digest, model_directory


@pytest.fixture
def directory(tmp_path):
    found = tmp_path / "model"
    found.mkdir()
    (found / "config.json").write_text(json.dumps({"architectures": ["BertForMaskedLM"]}))
    (found / "model.safetensors").write_bytes(b"weights")
    (found / "readme.md").write_text("no part of the model")
    return found


def config(model, **settings):
    return EncoderConfig(family="splade", model=str(model), **settings)


def test_tiny_is_made_and_not_loaded():
    assert model_directory(config("tiny")) is None


def test_tinys_digest_follows_what_it_is_made_of():
    digests = [model_digest(config("tiny", **s)) for s in ({}, {"hidden_size": 128}, {"layers": 1}, {"layers": 2})]

    assert len(set(digests)) == 4 and all(len(digest) == 64 for digest in digests)
    assert model_digest(config("tiny", query_tokens=64)) == digests[0]


def test_a_digest_follows_the_content_and_not_the_place(directory, tmp_path):
    before = model_digest(config(directory))
    shutil.copytree(directory, tmp_path / "elsewhere")

    assert model_digest(config(tmp_path / "elsewhere")) == before
    (directory / "readme.md").write_text("changed")
    assert model_digest(config(directory)) == before
    (directory / "model.safetensors").write_bytes(b"other weights")
    changed = model_digest(config(directory))
    assert changed != before
    (directory / "vocab.txt").write_text("word")
    assert model_digest(config(directory)) not in (before, changed)
    assert model_digest(config(tmp_path / "elsewhere")) == before


def test_a_directory_without_a_model_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"encoder\.model: .* holds no transformers model"):
        model_directory(config(tmp_path))


def test_only_the_splade_family_needs_a_masked_lm(directory):
    (directory / "config.json").write_text(json.dumps({"architectures": ["BertModel"]}))

    assert model_directory(EncoderConfig(family="lexical", model=str(directory))) == directory
    with pytest.raises(ConfigError, match=r"is no masked LM \(its config.json names \['BertModel'\]\)"):
        model_directory(config(directory))


def test_an_unknown_hub_id_names_both_places_and_needs_no_torch(tmp_path):
    # In a process of its own: huggingface_hub reads HF_HUB_OFFLINE when it is imported.
    code = """
import sys
from retort.config import EncoderConfig
from retort.errors import ConfigError
from retort.sparse.encoders.models import model_directory
try:
    model_directory(EncoderConfig(family="splade", model="retort/no-such-model"))
except ConfigError as error:
    print(error)
print("torch" in sys.modules)
"""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True, timeout=patience(30)
    )
    message, torch_imported = done.stdout.splitlines()

    assert message.startswith(
        "encoder.model: retort/no-such-model is no local directory, and cannot be had from the hub"
    )
    assert torch_imported == "False"
