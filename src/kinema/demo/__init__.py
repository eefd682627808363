"""``kinema demo``: synthetic videos whose labels lie in the order of frames, a recipe for them, and its page."""
