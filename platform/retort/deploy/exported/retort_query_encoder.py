"""A query encoder for Pyserini: a conversation's text -> the impacts that its Lucene index is searched with.

Written by Retort beside the index. Needs sentence-transformers alone; Pyserini's LuceneImpactSearcher takes it as it is:

    from pyserini.search.lucene import LuceneImpactSearcher
    from retort_query_encoder import RetortQueryEncoder

    searcher = LuceneImpactSearcher("index", RetortQueryEncoder())
    hits = searcher.search("And who built it? [SEP] Where is the Eiffel Tower?", k=10)
"""

import json
from pathlib import Path

from sentence_transformers import SparseEncoder

__all__ = ["RetortQueryEncoder"]


class RetortQueryEncoder:
    """Encodes with the model beside this file, and quantises as the index was.

    Args:
        directory: Holds ``model/`` and ``impacts.json``; by default this file's own.
        device: Of torch; None: what there is.
    """

    def __init__(self, directory: str | Path | None = None, device: str | None = None) -> None:
        place = Path(__file__).parent if directory is None else Path(directory)
        settings = json.loads((place / "impacts.json").read_text(encoding="utf-8"))
        self.levels: int = 2 ** settings["bits"] - 1
        self.model = SparseEncoder(str(place / "model"), device=device, trust_remote_code=settings["trust_remote_code"])

    def encode(self, query: str, **kwargs: object) -> dict[str, int]:
        """A context as one text -> vocabulary entry, as the index names it, and its impact.

        The greatest weight becomes the greatest impact: a factor on a whole query changes no ranking.
        """
        vector = self.model.encode_query(query, convert_to_sparse_tensor=False, show_progress_bar=False)
        terms = vector.nonzero().squeeze(1)
        weights = vector[terms].double()
        if not len(terms):
            return {}
        impacts = (weights * (self.levels / weights.max())).round().long()
        return {str(term): impact for term, impact in zip(terms.tolist(), impacts.tolist(), strict=True) if impact}
