"""A small world to try everything on: a generated English corpus with insults in it, and a tiny model trained on it."""
