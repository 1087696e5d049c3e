"""What training minimises, and on what: pure functions, none of which advances a counter.

- ``losses``: divergences of the student's scores from the teacher's, InfoNCE, the distance to a rewrite's vector.
- ``regularizers``: sparsity penalties on queries and passages, and a query's hard limits.
- ``sampling``: which passages of a ranking are drawn; ``filtering``: which of them are likely positives nobody judged.
- ``schedules``: learning rate, ramp and transition as functions of the step.
"""
