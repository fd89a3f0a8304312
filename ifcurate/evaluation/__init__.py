"""Whether it helped: completions and their toxicity, fluency, and paired comparisons."""
