"""What a student or a baseline retrieves for judged turns, measured."""
