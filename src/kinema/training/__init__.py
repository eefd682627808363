"""Training: recipes, the loop, checkpoints and runs."""
