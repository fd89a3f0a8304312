"""Queries, curvature, direction, and a token's score along it."""
