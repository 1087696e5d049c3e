"""Retrieving with a student and measuring it: exact search, TREC runs, evaluation, baselines."""
