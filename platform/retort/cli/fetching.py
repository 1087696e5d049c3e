"""``retort fetch``: the official files of a corpus."""

from pathlib import Path
from typing import Annotated

import typer

from retort.cli.shared import JsonOption, print_json, say, terminal_progress
from retort.errors import InputError

__all__ = ["fetch"]


def fetch(
    corpus: Annotated[str, typer.Argument(help="One of topiocqa, qrecc, cast, ikat, mtrag, msmarco, clueweb22.")],
    to: Annotated[Path, typer.Option(help="Folder for the files; each corpus gets a folder of its own in it.")],
    only: Annotated[
        list[str] | None, typer.Option(help="Only the files of these names or patterns, such as '2020/*'; repeatable.")
    ] = None,
    mirror: Annotated[str | None, typer.Option(help="Address that has copies of the files as CORPUS/NAME.")] = None,
    registry: Annotated[Path | None, typer.Option(help="A list of files to use in place of Retort's own.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Download a corpus's official files, or say who licenses them.

    Of files that need a licence it says where they are to be had, and where to put them. An interrupted download goes on where
    it stopped; checksums are compared where they were published.

    Example: retort fetch topiocqa --to corpora --only 'all_history/*'
    """
    from dataclasses import asdict

    from retort.corpora.official.fetch import fetch as run
    from retort.corpora.official.fetch import official_corpora

    known = official_corpora(registry)
    if corpus not in known:
        raise InputError(f"no official files of {corpus!r} are known; known are {', '.join(known)}")
    official = known[corpus]
    if not as_json:
        say(f"{corpus}: {official.about}")
        say(f"  licence: {official.licence}")
    folder = to / corpus
    with terminal_progress() as progress:
        done = run(official, folder, only=only or (), mirror=mirror, progress=progress)
    if as_json:
        files = [asdict(file) | {"path": str(file.path)} for file in done]
        licensed = [asdict(other) | {"put": str(folder / other.put)} for other in official.licensed]
        print_json({"corpus": corpus, "licence": official.licence, "files": files, "licensed": licensed})
        return
    for file in done:
        how = "there already" if file.reused else "fetched"
        checked = "checksum as published" if file.checked else f"no checksum was published; sha256 {file.sha256}"
        say(f"  {file.path}: {how}, {file.bytes:,} bytes, {checked}")
    for other in official.licensed:
        say(f"  not to be downloaded: {other.what}")
        say(f"    from {other.where}, as {folder / other.put}")
    for note in official.notes:
        say(f"  then: {note}")
