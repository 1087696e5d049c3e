"""Readers of corpora, one for each published form."""
