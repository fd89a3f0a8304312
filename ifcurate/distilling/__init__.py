"""A small model learns what influence an exact engine found, token by token."""
