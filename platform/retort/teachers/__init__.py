"""Teachers: models or people whose rewrites are distilled. Rewrites are imported or generated, and several are fused."""

from retort.teachers.fusion import fuse, mean_over_present
from retort.teachers.imports import RewriteCounts, add_rewrites, read_rewrites, write_rewrites
from retort.teachers.prompts import Prompt, load_prompt, prompt_names
from retort.teachers.rewriter import Outcome, rewrite_turns

__all__ = [
    "Outcome",
    "Prompt",
    "RewriteCounts",
    "add_rewrites",
    "fuse",
    "load_prompt",
    "mean_over_present",
    "prompt_names",
    "read_rewrites",
    "rewrite_turns",
    "write_rewrites",
]
