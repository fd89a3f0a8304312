"""Names of files in the folders that evaluations write; light to import."""

COMPARISON_FILE = "comparison.json"
"""What `write_comparison` writes besides tables and a figure."""
