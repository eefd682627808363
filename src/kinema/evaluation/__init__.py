"""Scores of models on data sets: protocols, views, metrics, fusion, prediction."""
