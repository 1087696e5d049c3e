"""Sparse retrieval's own pieces, on plain arrays and tensors: no Ray, no MLflow, no workspace.

- ``vectors``, ``tokens``, ``scores``: what the rest is made of: CSR vectors, the tokeniser, dot products with a gradient.
- ``encoders``: from text to sparse vectors.
- ``objective``: what training minimises, and which passages it sees.
- ``search``: exact retrieval over an inverted index.

Import from the modules: loading one of them must not cost the import of torch where it does not need it.
"""
