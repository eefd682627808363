"""The command line: one file per verb, each a function whose signature is its options."""
