"""Shards of a corpus, in and out: listed, read and written, from disk or any fsspec URL."""
