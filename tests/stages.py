"""Finished stages, changed as a test needs them."""

import json
from dataclasses import replace
from pathlib import Path

from retort.identity import file_digest
from retort.storage import Record


def as_after_a_kill(stage: Path, *missing: str) -> None:
    """Take a stage's record away, and the files that were not written yet; beside the others stand their checksums again."""
    record = stage / "record.json"
    for entry in json.loads(record.read_text(encoding="utf-8"))["files"]:
        file = stage / entry.pop("name")
        if file.name not in missing:
            (file.parent / f".{file.name}.sum").write_text(json.dumps(entry), encoding="utf-8")
    for name in ("record.json", *missing):
        (stage / name).unlink()


def replace_file(stage: Path, name: str, content: str) -> None:
    """Write other content into a file of a stage, as if the stage had written that."""
    (stage / name).write_text(content, encoding="utf-8")
    record = Record.from_json((stage / "record.json").read_text(encoding="utf-8"))
    files = [
        replace(entry, sha256=file_digest(stage / name), bytes=len(content.encode())) if entry.name == name else entry
        for entry in record.files
    ]
    (stage / "record.json").write_text(replace(record, files=tuple(files)).to_json(), encoding="utf-8")
