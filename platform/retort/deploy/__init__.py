"""Students beyond the workspace: exported, in Lucene, served by MLflow, asked, and their latency."""
