"""Runs beside each other: measures, significance, groups of turns, turns that changed."""
