"""Text to sparse vectors: BM25, and transformers over a context's own words or the whole vocabulary."""
