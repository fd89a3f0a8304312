"""The parts of `benchmarks/causal.py`: documents, what every arm makes of them, trained pieces, tables."""
