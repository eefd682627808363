"""New files made of a data set: packed copies, shards and stored flow, each with a manifest to train on."""
