"""The engines that passages are deployed in, by the names that ``evaluation.engine`` has for them."""

from collections.abc import Sequence
from typing import Final

from retort.evaluation.engines import Engines, Retrieved
from retort.progress import Progress
from retort.sparse.vectors import SparseVectors
from retort.storage import Folder, Workspace

__all__ = ["ENGINES"]


class Lucene:
    """Lucene over quantised weights; see :mod:`retort.deploy.lucene`."""

    def check(self) -> None:
        """See :class:`retort.evaluation.engines.Engine`."""
        from retort.deploy.java import find_java

        find_java()

    def retrieve(
        self,
        workspace: Workspace,
        vectors: Folder,
        queries: SparseVectors,
        query_ids: Sequence[str],
        *,
        top_k: int,
        bits: int,
        progress: Progress,
    ) -> Retrieved:
        """See :class:`retort.evaluation.engines.Engine`."""
        from retort.deploy.lucene import LuceneIndex, prepare_lucene

        folder = prepare_lucene(workspace, vectors, bits=bits, progress=progress)
        with LuceneIndex(folder) as opened:
            return Retrieved(opened.search(queries, query_ids, top_k), opened.bytes)


ENGINES: Final[Engines] = {"lucene": Lucene()}
