"""Sweeps on disk: a trial, a sweep's files, its front. Neither searching nor reporting."""
