"""Exact search over sparse vectors, compiled by numba.

- ``exact``: the index of a whole collection and its best passages, ties broken as trec_eval does.
- ``postings``: one part's inverted lists in blocks; ``sizes``: how large those are.
- ``scan``: a batch of queries against a part; ``bounds`` passes over what cannot be among the best, ``lanes`` are its vector
  instructions, ``best`` keeps the best so far.
"""
