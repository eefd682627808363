"""What everything else agrees on, as plain frozen data: recipes, preprocessing, protocols, where and how things run.

Free of torch, so that recipes and command lines are read at once.
"""
