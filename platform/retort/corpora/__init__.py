"""Corpora: readers of what others published (a module each), and what every later stage reads in their place.

An import writes ``passages/``, ``turns/<split>/`` and ``judgements/<split>/`` into a workspace; beside it stand how a
turn becomes the student's context, which conversations are held out, and a generated corpus for trying things.
"""

from retort.corpora.collection import (
    ImportCounts,
    PassagePart,
    import_passages,
    passage_parts,
    passage_rows,
    read_doc_ids,
    read_passages,
)
from retort.corpora.context import Context, context_ids, context_of, context_text
from retort.corpora.holdout import validation_conversations
from retort.corpora.importing import CorpusImport, ImportRequest
from retort.corpora.readers.beir import import_beir, import_msmarco
from retort.corpora.readers.cast import import_cast
from retort.corpora.readers.ikat import import_ikat
from retort.corpora.readers.mtrag import import_mtrag
from retort.corpora.readers.plain import import_jsonl
from retort.corpora.readers.qrecc import import_qrecc
from retort.corpora.readers.topiocqa import import_topiocqa
from retort.corpora.report import ImportReport
from retort.corpora.synthetic.generate import SyntheticCorpus, SyntheticImport, generate, import_synthetic
from retort.corpora.turns import read_judgements, read_turns, splits, write_turns

__all__ = [
    "Context",
    "CorpusImport",
    "ImportCounts",
    "ImportReport",
    "ImportRequest",
    "PassagePart",
    "SyntheticCorpus",
    "SyntheticImport",
    "context_ids",
    "context_of",
    "context_text",
    "generate",
    "import_beir",
    "import_cast",
    "import_ikat",
    "import_jsonl",
    "import_msmarco",
    "import_mtrag",
    "import_passages",
    "import_qrecc",
    "import_synthetic",
    "import_topiocqa",
    "passage_parts",
    "passage_rows",
    "read_doc_ids",
    "read_judgements",
    "read_passages",
    "read_turns",
    "splits",
    "validation_conversations",
    "write_turns",
]
