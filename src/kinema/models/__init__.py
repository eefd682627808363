"""Networks: backbones, temporal modules, heads, their catalogue and what they cost; no weights, no data."""
