"""Searching a space: what is proposed, the trials that run it, and what is told of them."""
