"""Ready-made recipes, each a function that returns one; ``load_recipe`` finds them by name."""

from kinema.training.find_recipe import RECIPES, load_recipe

__all__ = ["RECIPES", "load_recipe"]
