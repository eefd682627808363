"""Studies: what the results of many models say when they are put beside each other."""
