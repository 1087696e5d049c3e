"""From text to sparse vectors.

- ``models``: a model by its name: its files and their digest, without torch.
- ``encoder``: what every query encoder does: it is made, saved, loaded, and encodes in batches.
- ``lexical``, ``splade``: the two families; ``bm25`` is the lexical passages' side, ``pooling`` SPLADE's head.
- ``packing``, ``attention``, ``dropout``: transformers over texts of unequal length without padding.
"""
