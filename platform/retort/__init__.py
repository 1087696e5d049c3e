"""Retort distils an LLM's query rewriting into sparse conversational retrievers, and shows what each costs.

The package's rooms follow the data: corpora and teachers are imported into a workspace, shards prepare what training
reads, distill trains students, retrieval evaluates them, sweep searches the objective's knobs against recall *and*
FLOPS, report shows the front.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
