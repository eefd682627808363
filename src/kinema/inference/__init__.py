"""Views of videos through a network, in batches: one row for each view, each video exactly once."""
