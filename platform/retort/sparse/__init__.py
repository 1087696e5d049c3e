"""Sparse retrieval's own pieces: vectors, encoders, losses, regularisers, sampling, search. No Ray, no MLflow.

Import from the modules: loading one of them must not cost the import of torch where it does not need it.
"""
