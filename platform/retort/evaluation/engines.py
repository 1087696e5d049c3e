"""What an evaluation asks of an engine that passages are deployed in; the exact search needs none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from retort.errors import ConfigError
from retort.progress import Progress
from retort.sparse.vectors import SparseVectors
from retort.storage import Folder, Workspace

__all__ = ["NO_ENGINES", "Engine", "Engines", "Retrieved", "engine_of"]


@dataclass(frozen=True)
class Retrieved:
    """What an engine retrieved.

    Attributes:
        run: query_id -> doc_id -> score, best first, in units of the exact scores.
        index_bytes: Size of the index.
    """

    run: Mapping[str, Mapping[str, float]]
    index_bytes: int


class Engine(Protocol):
    """Retrieves from a collection as it is deployed."""

    def check(self) -> None:
        """Refuse to begin where the engine is not installed.

        Raises:
            ConfigError: With what is missing, and how to get it.
        """

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
        """The best passages of each query, from an index that is built where it is missing.

        Args:
            workspace: Where the index is kept.
            vectors: The encoded collection.
            queries: (Q, V), one row for each query_id.
            query_ids: The ids that the run names the queries by.
            top_k: Passages retrieved for each query.
            bits: Bits of a quantised weight.
            progress: Called while the index is built.
        """


Engines = Mapping[str, Engine]
NO_ENGINES: Final[Engines] = {}


def engine_of(engines: Engines, name: str) -> Engine | None:
    """The engine of a name; None for the exact search.

    Raises:
        ConfigError: If there is no such engine.
    """
    if name == "exact":
        return None
    if name not in engines:
        raise ConfigError([f"there is no engine {name!r}; there are {', '.join(['exact', *engines])}"])
    return engines[name]
