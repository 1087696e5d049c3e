"""File formats of the field: lines, JSON, TREC runs and qrels, DiSCo's rankings. One reader each."""
