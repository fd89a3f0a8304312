"""Ways to mark tokens other than influence."""
