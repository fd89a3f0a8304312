"""What generates completions, by name; each is one file here, imported when it is used.

A new backend is a file with a function of the signature of `engine.LoadBackend`, and an entry in `BACKENDS`.
"""

BACKENDS: dict[str, str] = {
    "transformers": "ifcurate.evaluation.backends.transformers:load",
    "vllm": "ifcurate.evaluation.backends.vllm:load",
}
