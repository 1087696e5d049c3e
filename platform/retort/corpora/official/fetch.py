"""Official files of corpora, downloaded so that neither a cut connection nor a wrong file goes unnoticed.

A file is written as ``NAME.part`` and renamed when it is whole and its checksum, where one is known, is right. What an
interrupted download left is asked for from there on (HTTP Range), if the server says that it still has the same file
(If-Range with its ETag or its date); a server that ignores the range sends everything, and everything is taken. Which
files there are, and under which licence, stands in ``official.json``; files that need a signature are described instead.
"""

import hashlib
import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib import resources
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import quote, urlsplit

from retort.errors import DataError, InputError, RunError, shown
from retort.formats.json_files import Fields, json_value
from retort.progress import Progress, silent

__all__ = ["Fetched", "Licensed", "Official", "OfficialFile", "fetch", "official_corpora"]

TIMEOUT_SECONDS: Final = 60.0
ATTEMPTS: Final = 5  # in a row that bring nothing new
BLOCK_BYTES: Final = 1 << 18
STAGE: Final = "fetch"
NAME_PART: Final = re.compile(r"(?!\.)[^/\\\x00-\x1f\x7f]{1,200}")  # of a file system's 255, without ``.part.json``
NAME_RULE: Final = (
    "a name must not begin with a dot, nor hold a backslash or control characters, and has at most 200 characters"
)


@dataclass(frozen=True, slots=True)
class OfficialFile:
    """A file to download; ``sha256`` or ``md5`` where a checksum was published."""

    name: str
    url: str
    bytes: int | None = None
    sha256: str | None = None
    md5: str | None = None


@dataclass(frozen=True, slots=True)
class Licensed:
    """A file that needs a signature: what it is, where it can be had, and under which name Retort expects it."""

    what: str
    where: str
    put: str


@dataclass(frozen=True, slots=True)
class Official:
    """A corpus's files, licence, and what is to be done with them."""

    name: str
    about: str
    licence: str
    files: tuple[OfficialFile, ...]
    licensed: tuple[Licensed, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that is there.

    Attributes:
        path: Where the file lies.
        bytes: Its size.
        sha256: The checksum of its content.
        checked: Whether a published checksum was compared with it.
        reused: Whether the file was there already.
    """

    path: Path
    bytes: int
    sha256: str
    checked: bool
    reused: bool


def official_corpora(registry: Path | None = None) -> dict[str, Official]:
    """The registry of official files: Retort's own, or a file of the same form.

    Raises:
        DataError: If the file is no registry.
    """
    path = Path(str(resources.files("retort.corpora.official") / "official.json")) if registry is None else registry
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DataError(f"is no registry of files: {error}", path=path) from error
    data = json_value(text, path, 1, what="is no registry of files")
    registry_fields = Fields(data, path, 1, what="the registry")
    for name in registry_fields.record:
        if not NAME_PART.fullmatch(name):  # it becomes a folder
            raise registry_fields.wrong(f"the corpus {shown(name)} has no plain name; {NAME_RULE}")
    return {name: _official(name, registry_fields.below(entry, name)) for name, entry in registry_fields.record.items()}


def _official(name: str, fields: Fields) -> Official:
    files = []
    for item in fields.items("files"):
        file = fields.below(item, f"a file of {name}")
        size = file.number("bytes", least=0) if file.has("bytes") else None
        sums = {key: file.optional_text(key) for key in ("sha256", "md5")}
        path = _name_inside(file, "name")
        files.append(OfficialFile(path, file.text("url"), size, sums["sha256"], sums["md5"]))
    licensed = []
    for item in fields.items("licensed") if fields.has("licensed") else ():
        other = fields.below(item, f"a licensed file of {name}")
        licensed.append(Licensed(other.text("what"), other.text("where"), _name_inside(other, "put")))
    about, licence = fields.text("about"), fields.text("licence")
    return Official(name, about, licence, tuple(files), tuple(licensed), tuple(fields.texts("notes")))


def _name_inside(file: Fields, key: str) -> str:
    """A file's name below the corpus's folder: plain names, separated by slashes, of which none leads out of it."""
    name = file.text(key).removesuffix("/")
    if not all(NAME_PART.fullmatch(part) for part in name.split("/")):
        raise file.wrong(f"{key} must stay inside the corpus's folder, got {shown(name)}; {NAME_RULE}")
    return name


def fetch(
    corpus: Official,
    folder: Path,
    *,
    only: Sequence[str] = (),
    mirror: str | None = None,
    pause_seconds: float = 1.0,
    progress: Progress = silent,
) -> list[Fetched]:
    """Download a corpus's files; those that are there and right are left alone.

    Args:
        corpus: The corpus whose files are fetched.
        folder: The folder to write to.
        only: Patterns, as ``*.json``, of the names that are wanted; none: all files.
        mirror: An address below which ``CORPUS/NAME`` is fetched instead of from the official addresses.
        pause_seconds: The pause before the second attempt; it is doubled for each further one.
        progress: Called with the megabytes of each file that are there.

    Raises:
        InputError: If no file's name matches, or an address is none.
        RunError: If a file cannot be had, or is not the one that was published.
    """
    wanted = [file for file in corpus.files if not only or any(fnmatch(file.name, pattern) for pattern in only)]
    if only and not wanted:
        names = ", ".join(file.name for file in corpus.files) or "none"
        raise InputError(f"no file of {corpus.name} matches {', '.join(only)}; there are {names}")
    done = []
    for file in wanted:
        url = file.url if mirror is None else f"{mirror.rstrip('/')}/{corpus.name}/{quote(file.name)}"
        if urlsplit(url).scheme not in ("http", "https"):
            raise InputError(f"{url} is no address of the web; http:// or https:// is needed")
        done.append(_fetch_file(file, url, folder / file.name, pause_seconds, progress))
    return done


def _fetch_file(file: OfficialFile, url: str, target: Path, pause_seconds: float, progress: Progress) -> Fetched:
    if target.exists():
        sha256 = _checked(file, target)
        progress(STAGE, 1, 1, f"{file.name} is there already")
        return Fetched(target, target.stat().st_size, sha256, _has_checksum(file), reused=True)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{target.parent} cannot be made: {error.strerror}") from error
    part = target.with_name(f"{target.name}.part")
    attempt = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            if _download(file, url, part, progress):
                break
            reason = "the connection ended early"
        except urllib.error.HTTPError as error:
            if error.code not in (408, 429, 500, 502, 503, 504):
                raise RunError(f"{url} cannot be had: {error.code} {error.reason}; {_way_out(file)}") from error
            reason = f"{error.code} {error.reason}"
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
        attempt = 1 if part.exists() and part.stat().st_size > before else attempt + 1
        if attempt >= ATTEMPTS:
            raise RunError(
                f"{url} cannot be had: {reason}, {ATTEMPTS} times in a row; {part} is kept, the same command goes on there"
            )
        progress(STAGE, before >> 20, None, f"{file.name}: {reason}; again")
        time.sleep(pause_seconds * 2 ** (attempt - 1))
    try:
        sha256 = _checked(file, part)
    except RunError:
        part.unlink()
        raise
    finally:
        _validator_file(part).unlink(missing_ok=True)
    part.replace(target)
    return Fetched(target, target.stat().st_size, sha256, _has_checksum(file), reused=False)


def _download(file: OfficialFile, url: str, part: Path, progress: Progress) -> bool:
    """One request; True when the file is whole."""
    start = part.stat().st_size if part.exists() else 0
    validator = _read_validator(part, url) if start else None
    headers = {"User-Agent": "retort", "Accept-Encoding": "identity"}
    if start and validator:
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    else:
        start = 0
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # what is there is as long as the file, or longer: it is asked for anew
            part.unlink(missing_ok=True)
            return False
        raise
    with response:
        if response.headers.get_content_type() == "text/html" and not file.name.endswith((".html", ".htm")):
            raise RunError(f"{url} is a web page, not the file; {_way_out(file)}")
        if response.status == 206:
            begins, total = _content_range(response.headers["Content-Range"])
            if begins != start:
                part.unlink(missing_ok=True)
                return False
        else:
            start = 0
            length = response.headers["Content-Length"]
            total = int(length) if length is not None and length.isascii() and length.isdigit() else None
        _keep_validator(part, url, response.headers)
        with part.open("ab" if start else "wb") as stream:
            size = start
            for block in _blocks(response):
                stream.write(block)
                size += len(block)
                progress(STAGE, size >> 20, None if total is None else max(total >> 20, 1), f"{file.name}, MiB")
                if file.bytes is not None and size > file.bytes:
                    return True  # without end, maybe; it is another file than was published, which the check will say
    return total is None or size >= total


def _blocks(response: BinaryIO) -> Iterator[bytes]:
    while block := response.read(BLOCK_BYTES):
        yield block


def _content_range(value: str | None) -> tuple[int | None, int | None]:
    # "bytes 100-199/200", where the total may be "*".
    unit, _, span = (value or "").partition(" ")
    places, _, total = span.partition("/")
    begins = places.partition("-")[0]
    if unit != "bytes" or not begins.isdigit():
        return None, None
    return int(begins), int(total) if total.isdigit() else None


def _validator_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _keep_validator(part: Path, url: str, headers: Mapping[str, Any]) -> None:
    etag = headers.get("ETag")
    # A weak ETag says that files mean the same, not that their bytes are: Range is not allowed with one.
    strong = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")
    _validator_file(part).write_text(json.dumps({"url": url, "validator": strong}), encoding="utf-8")


def _read_validator(part: Path, url: str) -> str | None:
    try:
        kept = json.loads(_validator_file(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return kept["validator"] if isinstance(kept, dict) and kept.get("url") == url and kept.get("validator") else None


def _has_checksum(file: OfficialFile) -> bool:
    return file.sha256 is not None or file.md5 is not None


def _checked(file: OfficialFile, path: Path) -> str:
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            sha256.update(block)
            md5.update(block)
    got = {"sha256": sha256.hexdigest(), "md5": md5.hexdigest()}
    for kind, expected in (("sha256", file.sha256), ("md5", file.md5)):
        if expected is not None and got[kind] != expected.lower():
            raise RunError(
                f"{path} has the {kind} {got[kind][:12]}..., published is {expected[:12]}...: it is another file, or was "
                "changed on the way; remove it and fetch it again"
            )
    size = path.stat().st_size
    if file.bytes is not None and size != file.bytes:
        raise RunError(f"{path} has {size:,} bytes, published are {file.bytes:,}; remove it and fetch it again")
    return got["sha256"]


def _way_out(file: OfficialFile) -> str:
    return f"look for {file.name} at the corpus's page, or name a copy with --mirror"
