"""What a run will take, before anything runs: tokens, memory, time and disk."""
