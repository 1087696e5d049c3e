"""Names that MLflow accepts, and the way back.

MLflow refuses ``@ ( =`` and more in names of metrics and parameters, and names that are no normal path. ``R@100``
becomes ``R_at_100``; whatever else is refused becomes ``-x`` code point ``-``, as does the beginning of what would be
misread on the way back.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Final

__all__ = ["MAX_TAG_CHARACTERS", "MAX_VALUE_CHARACTERS", "flat_params", "measure_name", "metric_name", "shortened"]

MAX_NAME_CHARACTERS: Final = 230  # MLflow allows 250; the rest is for prefixes such as "retort.changed."
MAX_VALUE_CHARACTERS: Final = 500  # MLflow 3 allows 6000, servers before 2.8 allow 500; a column of the UI shows fewer
MAX_TAG_CHARACTERS: Final = 5000  # MLflow 3 allows 8000, older servers 5000

# Escaped: what is refused (on Windows a colon too); a dot or slash that is not inside a word, since ".." and "a//b" are
# no normal paths; the beginning of a literal "_at_", of "_at@", which would become "_at_at_", and of a literal "-x".
_ESCAPED: Final = re.compile(
    r"[^A-Za-z0-9_\-./ ]|(?<![A-Za-z0-9])[./]|[./](?![A-Za-z0-9])|_(?=at[_@])|-(?=x)", flags=re.ASCII
)
_ENCODED: Final = re.compile(r"_at_|-x((?:10|[0-9a-f])?[0-9a-f]{1,4})-")


def metric_name(measure: str) -> str:
    """The name under which MLflow keeps a measure: ``R@100`` is ``R_at_100``. :func:`measure_name` is its inverse.

    Raises:
        ValueError: If the measure has no name, or MLflow's name for it has more than 230 characters.
    """
    name = _ESCAPED.sub(lambda match: "_at_" if match[0] == "@" else f"-x{ord(match[0]):x}-", measure)
    if not 0 < len(name) <= MAX_NAME_CHARACTERS:
        raise ValueError(f"a measure's name must have 1 to {MAX_NAME_CHARACTERS} characters, got {measure!r}")
    return name


def measure_name(metric: str) -> str:
    """The measure that MLflow keeps under this name: ``R_at_100`` is ``R@100``; the inverse of :func:`metric_name`."""
    return _ENCODED.sub(lambda match: chr(int(match[1], 16)) if match[1] else "@", metric)


def shortened(text: str, characters: int) -> str:
    """The text, cut to a number of characters with an ellipsis where something is missing."""
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def flat_params(config: Mapping[str, object]) -> dict[str, str]:
    """A nested configuration as dotted keys and short texts: ``{"sampling": {"count": 16}}`` has ``sampling.count``.

    The texts are what ``key=value`` takes on the command line (``null``, ``[10, 950]``), cut at 500 characters.
    A key that would be too long is cut, and ends in a digest of itself.
    """
    flat: dict[str, str] = {}

    def descend(node: Mapping[str, object], prefix: str) -> None:
        for key, value in node.items():
            path = f"{prefix}{key}"
            if isinstance(value, Mapping) and value:
                descend(value, f"{path}.")
                continue
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            flat[_param_name(path)] = shortened(text, MAX_VALUE_CHARACTERS)

    descend(config, "")
    return flat


def _param_name(key: str) -> str:
    try:
        return metric_name(key)
    except ValueError:
        return f"{metric_name(key[:20] or 'key')}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
