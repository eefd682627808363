"""Trained weights: checkpoints, published files by name, ImageNet, inflation, and importing others' checkpoints."""
