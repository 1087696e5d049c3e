"""Drawings and tables as values, and what writes them: terminal, Markdown, LaTeX, CSV, PNG, HTML."""
