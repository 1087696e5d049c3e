"""The report of one sweep."""
