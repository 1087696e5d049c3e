"""Searching an experiment's settings against two objectives: the space, one trial, the tuner."""
