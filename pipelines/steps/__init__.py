"""datatrove steps of ifcurate, one a file, for anybody's pipeline."""

import ifcurate.pipelines.log_sinks  # noqa: F401, before the first step imports datatrove
