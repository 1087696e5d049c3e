"""Exact search over sparse vectors: postings, bounds, scan."""
