"""A causal language model as influence needs it: checkpoints, tracked layers, windows, token losses."""
