"""Teachers: whose rewrites are distilled, how they come into a workspace, how several become one ranking."""

from retort.teachers.fusion import mean_over_present
from retort.teachers.imports import RewriteCounts, add_rewrites, read_rewrites, write_rewrites

__all__ = ["RewriteCounts", "add_rewrites", "mean_over_present", "read_rewrites", "write_rewrites"]
