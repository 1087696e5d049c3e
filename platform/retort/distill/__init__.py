"""Training a student: one step in plain torch, one worker's loop, and the trainer that runs workers and keeps the run."""
