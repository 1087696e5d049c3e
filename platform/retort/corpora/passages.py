"""Passages from the files in which collections are published: TSV, JSON lines and parquet, each also gzipped or as zstd.

A file whose name does not say what it is, is read as TSV.

A source is one file, several, or folders of them (sorted by name); it is streamed, one passage at a time, and knows for
each of its lines in which file it stands. TSV is read without csv quoting: with it, quotation marks in the text swallow
whole passages. A row without text is dropped and counted, unless its passage is needed.
"""

import bisect
import contextlib
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from retort.corpora.collection import PART_PASSAGES
from retort.errors import DataError, excerpt
from retort.formats.json_files import Fields, read_json_lines, shown
from retort.formats.lines import (
    digest_of,
    id_problem,
    is_blank,
    is_encodable,
    open_binary,
    read_lines,
    without_compression,
)
from retort.identity import fingerprint
from retort.progress import Progress, silent
from retort.records import Passage

__all__ = ["EMPTY_TEXT", "HEADER", "PassageFile", "PassageFiles", "expand"]

HEADER: Final = ("id", "text", "title")
EMPTY_TEXT: Final = "passages without text"
EXCLUDED: Final = "passages that are listed as duplicates"
ID_KEYS: Final = ("doc_id", "_id", "id", "docid", "pid")
TEXT_KEYS: Final = ("text", "contents", "passage", "body")
PART_TEXT: Final = "passage_text"  # iKAT's psg_text files: a passage is named by its document and its number in it
ENDINGS: Final = (".tsv", ".jsonl", ".ndjson", ".parquet")
BATCH_ROWS: Final = 2048  # of a parquet file at a time


@dataclass(frozen=True, slots=True)
class PassageFile:
    """One file of a collection.

    Attributes:
        path: The path of the file.
        prefix: Put before each of its ids: CAsT's judgements call MS MARCO's passage 7 ``MARCO_7``.
    """

    path: Path
    prefix: str = ""


def expand(sources: Sequence[Path | PassageFile]) -> list[PassageFile]:
    """Files in the order in which they are read; a folder stands for all passage files below it, a path has no prefix.

    Raises:
        DataError: If a folder holds none.
    """
    found: list[PassageFile] = []
    for source in (item if isinstance(item, PassageFile) else PassageFile(item) for item in sources):
        if not source.path.is_dir():
            found.append(source)
            continue
        inside = sorted(path for path in source.path.rglob("*") if path.is_file() and _kind(path) in ENDINGS)
        if not inside:
            raise DataError(f"holds no passage files ({', '.join(ENDINGS)}, also .gz or .zst)", path=source.path)
        found += [PassageFile(path, source.prefix) for path in inside]
    return found


def _kind(path: Path) -> str:
    return Path(without_compression(path.name)).suffix.lower()


class PassageFiles:
    """A collection's files while they are streamed, and what was noticed on the way.

    Args:
        sources: Files and folders.
        needed: doc_ids that must not be dropped -> ``file:line`` of who needs each.
        positive_texts: Texts that a corpus quotes for some doc_ids, to compare with the collection's.
        excluded: doc_ids that are passed over, such as the duplicates that a task lists.
        with_header: TSV files must begin with TopiOCQA's header.
        allow_missing: A needed passage without text is dropped like the others.
        progress: Called with the number of passages read so far.
    """

    def __init__(
        self,
        sources: Sequence[Path | PassageFile],
        *,
        needed: Mapping[str, str] | None = None,
        positive_texts: Mapping[str, str] | None = None,
        excluded: Collection[str] = frozenset(),
        with_header: bool = False,
        allow_missing: bool = False,
        progress: Progress = silent,
    ) -> None:
        self.files = expand(sources)
        self.needed = needed or {}
        self.positive_texts = positive_texts or {}
        self.excluded = frozenset(excluded)
        self.with_header = with_header
        self.allow_missing = allow_missing
        self.progress = progress
        self.read = self.empty = self.left_out = self.same_texts = self.other_texts = 0
        self._first_lines: list[int] = []  # of each file, in lines of all files together

    @property
    def name(self) -> str:
        """The source, for messages."""
        first = str(self.files[0].path)
        return first if len(self.files) == 1 else f"{first} and {len(self.files) - 1} more"

    def digest(self) -> str:
        """Digest of the content: the file's own, or one over the files, their prefixes and the excluded ids."""
        if len(self.files) == 1 and not self.files[0].prefix and not self.excluded:
            return digest_of(self.files[0].path)
        config = {"prefixes": [file.prefix for file in self.files], "excluded": sorted(self.excluded)}
        inputs = {f"{number:06d}": digest_of(file.path) for number, file in enumerate(self.files)}
        return fingerprint("collection", 1, config=config, inputs=inputs)

    def place(self, line: int) -> tuple[str, int]:
        """Find the file, and the line in it, of a line counted through all files."""
        number = bisect.bisect_right(self._first_lines, line) - 1
        return str(self.files[number].path), line - self._first_lines[number] + 1

    def dropped(self) -> dict[str, int]:
        """Count what was left out, by reason, zeros included."""
        return {EMPTY_TEXT: self.empty, EXCLUDED: self.left_out}

    def passages(self) -> Iterator[tuple[int, Passage]]:
        """Stream the passages, each with its line, counted through all files.

        Raises:
            DataError: With file and line of the first row that is broken.
        """
        offset = 0
        self._first_lines = []
        for file in self.files:
            self._first_lines.append(offset + 1)
            last = 0
            for last, doc_id, title, text in _rows(file.path, self.with_header):
                self.read += 1
                if self.read % PART_PASSAGES == 0:
                    self.progress("passages", self.read, None)
                passage = self._checked(file, last, file.prefix + doc_id, title, text)
                if passage is not None:
                    yield offset + last, passage
            if not last:
                raise DataError("holds no passage; was the download cut off?", path=file.path, line=1)
            offset += last

    def _checked(self, file: PassageFile, line: int, doc_id: str, title: str, text: str) -> Passage | None:
        if problem := id_problem(doc_id):
            raise DataError(f"the id {problem}, got {shown(doc_id)}", path=file.path, line=line)
        if doc_id in self.excluded:
            self.left_out += 1
            return None
        if is_blank(text):
            self.empty += 1
            if doc_id in self.needed and not self.allow_missing:
                needed = self.needed[doc_id]
                message = f"passage {doc_id!r} has no text, but is a positive at {needed}; is the text column second?"
                raise DataError(message, path=file.path, line=line)
            return None
        quoted = self.positive_texts.get(doc_id)
        if quoted is not None:
            # Published id columns differ by one between distributions: ids that all exist can still be the wrong ones.
            same = "".join(quoted.split()) == "".join(text.split())
            self.same_texts += same
            self.other_texts += not same
        return Passage(doc_id, title, text)


Row = tuple[int, str, str, str]  # line, doc_id, title, text


def _rows(path: Path, with_header: bool) -> Iterator[Row]:
    kind = _kind(path)
    if kind == ".parquet":
        return _parquet_rows(path)
    return _json_rows(path) if kind in (".jsonl", ".ndjson", ".json") else _tsv_rows(path, with_header)


def _tsv_rows(path: Path, with_header: bool) -> Iterator[Row]:
    lines = read_lines(path)
    first, header = next(lines, (1, ""))
    names = tuple(header.split("\t", len(HEADER)))  # no further: the line may be of another file, and long
    if names == HEADER:
        width = 3
    elif with_header:
        raise _header_error(path, names)
    else:
        # MS MARCO's and CAsT's way: id and text, no header.
        width = 2
        if names[0].lower() in (*ID_KEYS, "passage_id"):
            raise _header_error(path, names)
        yield _columns(path, first, header, 2)
    for line, row in lines:
        yield _columns(path, line, row, width)


def _columns(path: Path, line: int, row: str, width: int) -> Row:
    columns = row.split("\t")
    if len(columns) != width:
        names = _listed(HEADER[:width])
        message = (
            f"expected {width} columns ({names}), got {len(columns)}; is there a tab or a line "
            "break inside a passage, or was the file cut off?"
        )
        raise DataError(message, path=path, line=line)
    return line, columns[0], columns[2] if width == 3 else "", columns[1]


def _header_error(path: Path, got: tuple[str, ...]) -> DataError:
    way_out = "reorder the columns and the header" if sorted(got) == sorted(HEADER) else "add that header line"
    begins = excerpt(_listed(got), 80)
    message = f"the first line must be the header {_listed(HEADER)}, separated by tabs, got {begins}; {way_out}"
    return DataError(message, path=path, line=1)


def _listed(columns: Sequence[str]) -> str:
    return "/".join(repr(column)[1:-1] for column in columns)


def _json_rows(path: Path) -> Iterator[Row]:
    for line, record in read_json_lines(path):
        fields = Fields(record, path, line, what="the passage")
        doc_id = fields.identifier(*ID_KEYS)
        if PART_TEXT in fields.record:
            yield line, f"{doc_id}:{fields.identifier('passage_id')}", "", fields.optional_text(PART_TEXT) or ""
            continue
        fields.one_of(*TEXT_KEYS)
        yield line, doc_id, fields.optional_text("title") or "", fields.optional_text(*TEXT_KEYS) or ""


def _parquet_rows(path: Path) -> Iterator[Row]:
    # Rows take the place of lines.
    with _parquet_file(path) as table:
        names = table.schema_arrow.names
        columns = [next((key for key in keys if key in names), None) for keys in (ID_KEYS, ("title",), TEXT_KEYS)]
        if columns[0] is None or columns[2] is None:
            message = f"has the columns {', '.join(names)}; needed are an id ({', '.join(ID_KEYS)}) and a text"
            raise DataError(f"{message} ({', '.join(TEXT_KEYS)})", path=path, line=1)
        row = 0
        for batch in table.iter_batches(BATCH_ROWS, columns=[name for name in columns if name is not None]):
            data = batch.to_pydict()
            titles = data[columns[1]] if columns[1] is not None else [""] * batch.num_rows
            for doc_id, title, text in zip(data[columns[0]], titles, data[columns[2]], strict=True):
                row += 1
                values = (str(doc_id) if isinstance(doc_id, int) else doc_id, title or "", text or "")
                wrong = next((v for v in values if not isinstance(v, str) or not is_encodable(v)), None)
                if wrong is not None or not values[0]:
                    message = f"id, title and text must be text, got {shown(str(wrong))}"
                    raise DataError(message, path=path, line=row)
                yield row, values[0], values[1], values[2]


@contextlib.contextmanager
def _parquet_file(path: Path) -> Iterator[pq.ParquetFile]:
    with tempfile.TemporaryDirectory() as temporary:
        source = path
        if without_compression(path.name) != path.name:
            # Parquet is read from its end: it is decompressed beside, onto the disk.
            source = Path(temporary, "passages.parquet")
            with open_binary(path) as stream, source.open("wb") as target:
                shutil.copyfileobj(stream, target, 1 << 20)
        try:
            with pq.ParquetFile(source) as table:
                yield table
        except pa.ArrowInvalid as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"is no whole parquet file ({reason}); was the download cut off?", path=path) from error
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror or error}", path=path) from error
