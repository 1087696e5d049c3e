"""Secrets are taken out of whatever leaves the process: messages, logs, records, and what MLflow is told.

Two layers. *Known values*: what the environment, the command line and ``learn`` say is a secret is hidden wherever it stands, as
it is and as an address or JSON spells it. *Shapes*: what can only be a secret is hidden whoever wrote it: the password of a URI,
the parameters of a signed address, ``PWD=`` in a connection string, keys and tokens that a service marks as such.

Messages and what Retort writes of itself pass through here. Users' data (passages, rewrites, runs) and what a fingerprint is
computed from never do.
"""

import functools
import json
import os
import re
import threading
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote, quote_plus, unquote_plus, urlsplit, urlunsplit

__all__ = ["HIDDEN", "holds_secret", "learn", "learn_from", "public_uri", "redacted", "redacted_json", "without_known"]

HIDDEN: Final = "***"
LEAST: Final = 6  # characters of a known value that is hidden on its own; a shorter one may be a part of any word
NO_NAME: Final = 8  # characters from which a value of letters with digits or signs is nobody's file or setting
SURE: Final = 16  # characters from which a value is no single word either
# As somebody's password these are known by their place in an address alone: every other message holds them.
ORDINARY: Final = frozenset(
    {"changeme", "default", "localhost", "mlflow", "password", "postgres", "postgresql", "retort", "secret", "testing"}
)
_OPEN: Final = frozenset({"http", "https", "databricks", "ws", "wss"})  # whose user may be the token
_SECRET_NAME: Final = (
    r"password|passwd|passphrase|secret|client[_-]?secret|secret[_-]?(?:access[_-]?)?key|(?:x-)?api[_-]?key|"
    r"(?:access|auth|refresh|session|security|api|bearer|sas)[_-]?token|account[_-]?key|shared[_-]?access[_-]?key|"
    r"private[_-]?key|encryption[_-]?key|awsaccesskeyid|x-amz-(?:signature|credential|security-token)|"
    r"x-goog-(?:signature|credential)"
)
_PARAMETER: Final = rf"{_SECRET_NAME}|pass|pwd|token|sig|signature|sslpassword"  # where it is one of an address
_ENVIRONMENT: Final = re.compile(
    r"(?:^|_)(?:SECRET|TOKEN|PASSWD|PASSPHRASE|PWD|SECRET_KEY|ACCESS_KEY(?:_ID)?|API_?KEY|ACCOUNT_KEY|STORAGE_KEY|PRIVATE_KEY|"
    r"ENCRYPTION_KEY|SAS)(?:_|$)|PASSWORD(?:_|$)"
)
_NO_SECRET: Final = re.compile(
    r"^(?:OLD)?PWD$|_(?:PATH|FILE|DIR|MODE|URL|URI|ENV|TTL|NAME|EXPIRATION|LIFETIME|SECONDS|TYPE)$"
)

_USERINFO: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,30})://(?P<user>[^\s:/?#@\"'<>\[\]]{0,256})"
    # The first part may hold a slash, which SQLAlchemy takes as it is; a port is no password, nor is a path behind it.
    r"(?::(?P<password>(?!\d{1,5}(?:[/?#,]|$))[^\s\"<>@]{0,256}(?:@[^\s\"<>@/?#]{0,256}){0,4}))?@"
)
_ODBC: Final = re.compile(r"(?P<name>odbc_connect=)(?P<value>[^&\s\"'<>]+)", flags=re.IGNORECASE)
_CONNECTION: Final = re.compile(
    r"(?P<name>(?:^|;)\s*(?:pwd|password)\s*=\s*)(?P<secret>\{(?:[^}]|\}\})*\}?|[^;]*)", flags=re.IGNORECASE
)
_USER: Final = re.compile(r"(?:^|;)\s*(?:uid|user id|user)\s*=\s*(?:\{(?:[^}]|\}\})*\}|[^;]*)", flags=re.IGNORECASE)
# Each has groups whose names begin with "secret"; what one of them matched is hidden.
_SHAPES: Final = (
    re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----(?P<secret>[A-Za-z0-9+/=\\\s]+)"),
    re.compile(
        r"%3A%2F%2F(?:(?!%3A|%40|%2F)[^\s&\"'<>]){0,128}%3A(?P<secret>(?:(?!%40)[^\s&\"'<>]){1,256})(?=%40)",
        flags=re.IGNORECASE,
    ),
    re.compile(r"(?:pwd|password)%3D(?P<secret>(?:(?!%3B)[^\s&\"'<>])+)", flags=re.IGNORECASE),
    re.compile(rf"(?<=[?&;])(?:{_PARAMETER})=(?P<secret>\{{[^}}]*\}}|[^&\s\"'<>;#]+)", flags=re.IGNORECASE),
    re.compile(
        rf"(?<![A-Za-z0-9])(?:[A-Za-z0-9]+[_-]){{0,6}}(?:{_SECRET_NAME}|(?-i:[A-Z][A-Z0-9_]*_TOKEN))"
        r"(?:[\"']?\s?=\s?|[\"']\s?:\s?|:\s?(?=[\"']))"
        r"(?!(?:None|null|true|false)\b)"
        r"(?:\"(?P<secret1>(?:[^\"\\]|\\.)+)\"|'(?P<secret2>(?:[^'\\]|\\.)+)'|"
        r"(?P<secret3>\{(?:[^}]|\}\})*\}|[^\s\"',;&(){}\[\]<>]+))",
        flags=re.IGNORECASE,
    ),
    re.compile(
        r"\bauthorization[\"']?\s*[:=]\s*[\"']?(?:bearer|basic|token|digest)\s+(?P<secret>[^\s\"',;]+)",
        flags=re.IGNORECASE,
    ),
    re.compile(r"\bauthorization[\"']?\s*[:=]\s*[\"']?(?P<secret>[^\s\"',;]{16,})", flags=re.IGNORECASE),
    re.compile(r"\bbearer\s+(?P<secret>(?=[A-Za-z._~+/-]*\d)[A-Za-z0-9._~+/-]{16,}=*)", flags=re.IGNORECASE),
    re.compile(r"\b[Bb]asic\s+(?P<secret>(?=[a-z0-9+/]*[A-Z])(?=[A-Za-z+/]*\d)[A-Za-z0-9+/]{12,}=*)"),
    re.compile(r"\bSignature=(?P<secret>[0-9a-f]{64})\b"),  # of AWS, in a header
    re.compile(r"(?<![A-Za-z0-9])(?P<secret>(?:AKIA|ASIA)[A-Z0-9]{16})(?![A-Za-z0-9])"),
    re.compile(r"(?<![A-Za-z0-9_-])(?P<secret>sk-(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{16,})"),
    re.compile(
        r"(?<![A-Za-z0-9_])(?P<secret>hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})"
    ),
    re.compile(
        r"(?<![A-Za-z0-9_-])(?P<secret>glpat-[A-Za-z0-9_-]{16,}|xox[abprs]-[A-Za-z0-9-]{10,}|AIza[A-Za-z0-9_-]{35})"
    ),
    re.compile(r"(?<![A-Za-z0-9])(?P<secret>dapi[0-9a-f]{32}(?:-\d+)?)(?![A-Za-z0-9])"),
    re.compile(r"(?<![A-Za-z0-9_-])(?P<secret>eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+)"),
)
_STRONG_KEY: Final = re.compile(rf"(?:[a-z0-9]+[_-])*(?:{_SECRET_NAME})", flags=re.IGNORECASE)

# Without one of these a text has none of the shapes: most texts have not, and are done with at once.
_HINT: Final = re.compile(
    r"://|=|[\"']\s?:|:\s?[\"']|%3[ADad]|-----BEGIN|AKIA|ASIA|sk-|hf_|gh[pousr]_|github_pat_|glpat-|xox[abprs]-|AIza|dapi|eyJ|"
    r"(?i:bearer|basic|authorization)"
)

_lock: Final = threading.Lock()
_learned: set[str] = set()


def learn(secret: str) -> None:
    """Remember a secret that came from elsewhere than the environment, so that it is hidden from now on."""
    with _lock:
        _learned.add(secret)


def learn_from(words: Iterable[str]) -> None:
    """Remember the secrets that words of a command line hold: an address with a password, ``password=...``."""
    for word in words:
        for secret in _secrets_in(word):
            learn(secret)


def redacted(text: str) -> str:
    """The text with every secret in it replaced by ``***``; a text without one is returned as it is."""
    return _hidden(text, _known(named=True))


def redacted_json(value: Any) -> Any:
    """A JSON value with the secrets of all its texts hidden; what stands under a key such as ``password`` is one.

    A known value that could be the name of something, such as a password of eight letters, is left: it may *be* the name, and a
    record that was changed there would no longer say what it is of.
    """
    return _hidden_json(value, _known(named=False))


def holds_secret(text: str) -> bool:
    """Whether a text has the shape of a secret in it: an address with a password, a key that a service marks as one."""
    return _hidden(text, None) != text


def without_known(text: str) -> str:
    """The text with known secrets hidden that can be nobody's name, and nothing else: for an output that users' data passes."""
    known = _known(named=False)
    return text if known is None else known.sub(HIDDEN, text)


def public_uri(uri: str) -> str:
    """An address as it may be shown, kept and compared: without user, password, and parameters that are secrets or users.

    What tells one place from another stays: host, path, and the other parameters.
    """

    def without(match: re.Match[str]) -> str:
        return f"{match['scheme']}://"

    parts = urlsplit(_USERINFO.sub(without, uri))
    if not parts.query:
        return urlunsplit(parts._replace(fragment="")) if parts.netloc else _USERINFO.sub(without, uri)
    kept = []
    for parameter in parts.query.split("&"):
        name, _, value = parameter.partition("=")
        if name.lower() == "odbc_connect":
            kept.append(f"{name}={quote_plus(_USER.sub('', _CONNECTION.sub('', unquote_plus(value))).strip(';'))}")
        elif name.lower() not in ("user", "username") and not re.fullmatch(_PARAMETER, name, flags=re.IGNORECASE):
            kept.append(parameter)
    query = "&".join(kept)
    if parts.netloc:
        return urlunsplit(parts._replace(query=query, fragment=""))
    # urlunsplit writes no "//" before an empty host, which "postgresql:///name" needs.
    head = _USERINFO.sub(without, uri).partition("?")[0]
    return f"{head}?{query}" if query else head


def _hidden(text: str, known: re.Pattern[str] | None) -> str:
    if known is not None:
        text = known.sub(HIDDEN, text)
    if not _HINT.search(text):
        return text
    text = _ODBC.sub(_odbc, _USERINFO.sub(_userinfo, text))
    for shape in _SHAPES:
        text = shape.sub(_masked, text)
    return text


def _hidden_json(value: Any, known: re.Pattern[str] | None) -> Any:
    if isinstance(value, str):
        return _hidden(value, known)
    if isinstance(value, Mapping):
        return {_hidden_json(key, known): _hidden_item(key, item, known) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden_json(item, known) for item in value]
    return value


def _hidden_item(key: object, item: Any, known: re.Pattern[str] | None) -> Any:
    secret = isinstance(key, str) and isinstance(item, str) and item and _STRONG_KEY.fullmatch(key)
    return HIDDEN if secret else _hidden_json(item, known)


def _masked(match: re.Match[str]) -> str:
    name = next(name for name, found in match.groupdict().items() if found is not None)
    begin, end = match.start(name) - match.start(), match.end(name) - match.start()
    return f"{match[0][:begin]}{HIDDEN}{match[0][end:]}"


def _userinfo(match: re.Match[str]) -> str:
    scheme, user, password = match["scheme"], match["user"], match["password"]
    if scheme.lower().rpartition("+")[2] in _OPEN:
        return f"{scheme}://{HIDDEN}@"
    return f"{scheme}://{user}:{HIDDEN}@" if password else match[0]


def _odbc(match: re.Match[str]) -> str:
    plain = unquote_plus(match["value"])
    hidden = _CONNECTION.sub(lambda found: f"{found['name']}{HIDDEN}", plain)
    return match[0] if hidden == plain else f"{match['name']}{quote_plus(hidden, safe='*')}"


def _user_is_secret(match: re.Match[str]) -> bool:
    scheme = match["scheme"].lower().rpartition("+")[2]
    return scheme == "databricks" or (scheme in _OPEN and not match["password"])


def _secrets_in(text: str) -> set[str]:
    """What the shapes of a text hide, as it stands there and unquoted."""
    found: set[str] = set()
    for match in _USERINFO.finditer(text):
        user, password = match["user"], match["password"]
        found |= {password} if password else set()
        if _user_is_secret(match):
            found.add(user)
    for match in _ODBC.finditer(text):
        found |= {secret["secret"] for secret in _CONNECTION.finditer(unquote_plus(match["value"]))}
    for shape in _SHAPES:
        found |= {part for match in shape.finditer(text) for part in match.groupdict().values() if part is not None}
    found |= {secret.removeprefix("{").removesuffix("}") for secret in found}
    return (found | {unquote_plus(secret) for secret in found}) - {"", HIDDEN}


def _known(*, named: bool) -> re.Pattern[str] | None:
    """The pattern of all known values: those that can be nobody's name, and with ``named`` the others, as whole words."""
    environment = tuple(
        (name, value)
        for name, value in os.environ.items()
        if len(value) >= LEAST and ("://" in value or "=" in value or _names_secret(name))
    )
    with _lock:
        learned = frozenset(_learned)
    return _pattern(environment, learned, os.environ.get("USER", ""), named)


def _names_secret(name: str) -> bool:
    return _ENVIRONMENT.search(name) is not None and _NO_SECRET.search(name) is None


@functools.lru_cache(maxsize=8)
def _pattern(
    environment: tuple[tuple[str, str], ...], learned: frozenset[str], user: str, named: bool
) -> re.Pattern[str] | None:
    values, users = set(learned), {user.lower(), *ORDINARY}
    for name, value in environment:
        values |= _secrets_in(value)
        users |= {match["user"].lower() for match in _USERINFO.finditer(value) if not _user_is_secret(match)}
        if "://" not in value and _names_secret(name):
            values.add(value.strip())
    # A key of several lines is printed line by line.
    values |= {line.strip() for value in values if "\n" in value for line in value.splitlines() if len(line) >= SURE}
    patterns: set[str] = set()
    for value in values:
        if len(value) < LEAST or value.lower() in users or HIDDEN in value or value.startswith("-----"):
            continue
        spelled = {
            value,
            quote(value),
            quote(value, safe=""),
            quote_plus(value),
            json.dumps(value)[1:-1],
            repr(value)[1:-1],
        }
        escaped = {re.escape(form) for form in spelled}
        if len(value) >= SURE or (len(value) >= NO_NAME and not value.isalpha() and not value.isdigit()):
            patterns |= escaped
        elif named and not value.isdigit():
            patterns |= {rf"(?<!\w){form}(?!\w)" for form in escaped}
    # The longest first: a secret may be the beginning of another one.
    return re.compile("|".join(sorted(patterns, key=len, reverse=True))) if patterns else None
