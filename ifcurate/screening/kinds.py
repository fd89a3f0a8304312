"""The kinds of screens there are, without importing anything that computes."""

FEATURES = {"ngrams": "ifcurate.screening.ngrams:NGrams", "probe": "ifcurate.screening.probe:Probe"}
"""Name -> home of a kind of features."""

SCREEN_FILE = "screen.safetensors"
"""In a folder that `ifcurate screen` made."""
