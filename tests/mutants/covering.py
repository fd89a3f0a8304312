"""Which source is mutated, and which tests cover it, the fast ones before the slow."""

from __future__ import annotations

ENGINES = (
    "tests/influence/engines/test_attention.py",
    "tests/influence/test_several_directions.py",
    "tests/influence/engines/test_engines.py",
    "--deselect=tests/influence/engines/test_engines.py::test_window_sums_and_position_scores_are_kronfluences",
    "--deselect=tests/influence/test_several_directions.py::test_one_command_annotates_for_several_behaviours",
)
SELECTION = (
    "tests/selection/test_spans.py",
    "tests/selection/test_quantile.py",
    "tests/selection/test_ranking.py",
    "tests/selection/test_cases.py",
    "tests/selection/test_algorithm.py",
    "tests/selection/test_metadata.py",
)
TRAINING = (
    "tests/training/test_penalty.py",
    "tests/training/test_own_lambdas.py",
    "tests/training/test_packing.py",
    "tests/training/test_spared.py",
    "tests/training/test_forms.py",
    "tests/training/test_trainer.py",
    "--deselect=tests/training/test_trainer.py::test_two_processes_equal_the_plain_loop",
)
QUERIES = (
    "tests/influence/test_queries.py",
    "tests/influence/test_query_gradient.py",
    "tests/influence/test_query_sets.py",
    "tests/influence/test_direction.py",
)
BATCHING = ("tests/influence/test_batch_size.py", "tests/model/test_batching.py")

COVERING: dict[str, tuple[str, ...]] = {
    "ifcurate/selection/algorithm.py": SELECTION,
    "ifcurate/selection/quantile.py": SELECTION,
    "ifcurate/selection/ranking.py": SELECTION,
    "ifcurate/selection/records.py": SELECTION,
    "ifcurate/selection/repeated.py": ("tests/selection/test_repeated.py",),
    "ifcurate/selection/scores.py": SELECTION,
    "ifcurate/selection/settings.py": SELECTION,
    "ifcurate/selection/spans.py": SELECTION,
    "ifcurate/selection/table.py": SELECTION,
    "ifcurate/model/offsets.py": ("tests/model/test_offsets.py",),
    "ifcurate/influence/batch_size.py": BATCHING,
    "ifcurate/influence/direction.py": QUERIES,
    "ifcurate/influence/queries.py": QUERIES,
    "ifcurate/influence/query_gradient.py": QUERIES,
    "ifcurate/influence/sample.py": ("tests/influence/test_sample.py",),
    "ifcurate/influence/scorer.py": BATCHING,
    "ifcurate/influence/engines/attention.py": ENGINES,
    "ifcurate/influence/engines/calibration.py": ENGINES,
    "ifcurate/influence/engines/choice.py": ENGINES,
    "ifcurate/influence/engines/compiled.py": ("tests/influence/engines/test_compiled.py",),
    "ifcurate/influence/engines/finite_difference.py": ENGINES,
    "ifcurate/influence/engines/forward_mode.py": ENGINES,
    "ifcurate/influence/engines/kronfluence.py": ("tests/influence/engines/test_engines.py",),
    "ifcurate/training/forms.py": TRAINING,
    "ifcurate/training/packing.py": TRAINING,
    "ifcurate/training/penalty.py": TRAINING,
    "ifcurate/training/spared.py": TRAINING,
}
"""Source -> tests, as arguments of pytest: without those of whole runs and the slowest. What fits curvature and loads a
scorer is left to the tests of whole runs."""
