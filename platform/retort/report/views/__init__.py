"""What commands show of one thing: a turn, an evaluation, an answer, latency."""
