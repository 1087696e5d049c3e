"""A generated corpus: a world of entities, passages about them and conversations."""
