"""The workspace: one folder, local or on an object store, in which every stage writes a folder of its own.

``record.json``, written last, is the commit: a stage's folder without it is leftovers. Every file is written aside and
renamed (object stores put whole objects), so a part that is there is complete, and an interrupted stage that starts again
keeps the parts that it had finished. The record names each file with its checksum; files that it does not name do not
exist for a reader. Stages in one local workspace exclude each other by a lock per folder.
"""

from retort.storage.folder import Folder, StageWriter
from retort.storage.record import FileEntry, Record
from retort.storage.workspace import Stage, Workspace

__all__ = ["FileEntry", "Folder", "Record", "Stage", "StageWriter", "Workspace"]
