"""Families of sweeps beside each other: what each setting of an ablation wins."""
