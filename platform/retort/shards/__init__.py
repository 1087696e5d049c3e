"""The stages on Ray Data, passages -> vectors -> rankings -> training shards, and the reader of what they wrote."""
