"""Scores of networks on data sets: evaluation, metrics, fusion, features, prediction, timelines, the linear probe."""
