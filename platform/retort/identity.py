"""Canonical JSON and the fingerprints of stages.

Two runs of a stage are the same when their fingerprints are: the stage's name and version, the fingerprints of its inputs,
and the part of the configuration that changes its result. What has no stable form (a set, an object, a NaN) is refused
rather than guessed at, because a fingerprint that lies reuses the wrong folder silently.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from retort.errors import InputError
from retort.redaction import holds_secret

__all__ = ["canonical_json", "file_digest", "fingerprint", "stream_digest", "text_digest"]

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def _stable(value: object, where: str) -> Json:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where} is {value}, which has no canonical form; use None for what is absent")
        # 1.0 and 1 mean the same setting, whether YAML or Python wrote it.
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, Mapping):
        stable: dict[str, Json] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(f"{where} has the key {key!r}; keys of a fingerprinted mapping must be text")
            stable[key] = _stable(item, f"{where}.{key}")
        return stable
    if isinstance(value, list | tuple):
        return [_stable(item, f"{where}[{index}]") for index, item in enumerate(value)]
    raise ValueError(
        f"{where} is a {type(value).__name__}, which has no stable form; "
        "turn it into text, numbers, lists and mappings first"
    )


def canonical_json(value: object) -> str:
    """JSON text that is equal for equal values: sorted keys, no white space, integral floats as integers.

    Raises:
        ValueError: If ``value`` holds a set, an object, a NaN or an infinity, or a key that is not text.
    """
    return json.dumps(_stable(value, "value"), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def fingerprint(stage: str, version: int, *, config: Mapping[str, object], inputs: Mapping[str, str]) -> str:
    """Fingerprint of one stage's output, 64 hexadecimal digits.

    Args:
        stage: The stage's name.
        version: Bumped whenever the stage's output changes for the same inputs.
        config: What changes the result; never paths, hardware or worker counts.
        inputs: Fingerprints or content digests of what the stage reads, by role.

    Raises:
        ValueError: If anything in ``config`` has no stable form.
        InputError: If anything in it looks like a secret: the record would keep it, or say other than what the fingerprint is of.
    """
    _refuse_secrets(config, stage)
    text = canonical_json({"stage": stage, "version": version, "config": config, "inputs": inputs})
    return text_digest(text)


def text_digest(text: str) -> str:
    """SHA-256 of a text in UTF-8, as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def _refuse_secrets(value: object, where: str) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            _refuse_secrets(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_secrets(item, where)
    elif isinstance(value, str) and holds_secret(value):
        raise InputError(
            f"{where} holds what looks like a password or a key (it is not repeated here): name a file or an address without "
            "it, and put the secret into the environment"
        )


def stream_digest(stream: BinaryIO) -> str:
    """SHA-256 of everything that is left in a binary stream, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    while block := stream.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def file_digest(path: str | Path) -> str:
    """SHA-256 of a local file's bytes, as 64 hexadecimal digits."""
    with Path(path).open("rb") as stream:
        return stream_digest(stream)
