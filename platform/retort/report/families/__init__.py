"""Families of ablations beside each other: what each idea wins over another, seed by seed."""
