"""Searching a space: a sampler proposes configurations, trials run them, and their results are logged."""
