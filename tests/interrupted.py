"""A finished stage made into what a kill leaves of it."""

import json
from pathlib import Path


def as_after_a_kill(stage: Path, *missing: str) -> None:
    """Take a stage's record away, and the files that were not written yet; beside the others stand their checksums again."""
    record = stage / "record.json"
    for entry in json.loads(record.read_text(encoding="utf-8"))["files"]:
        file = stage / entry.pop("name")
        if file.name not in missing:
            (file.parent / f".{file.name}.sum").write_text(json.dumps(entry), encoding="utf-8")
    for name in ("record.json", *missing):
        (stage / name).unlink()
