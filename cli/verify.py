"""`ifcurate verify`: whether the marked tokens teach the behaviour, by training without them."""

from __future__ import annotations

from ifcurate.cli.declared import declared
from ifcurate.pipelines.verify_config import VerifyConfig


def verify(settings: VerifyConfig) -> None:
    """Train without the marked tokens, and without others, and see on held-out text what each taught."""
    from ifcurate.cli.evaluation_tables import print_verification
    from ifcurate.pipelines.verify import RESULT_FILE
    from ifcurate.pipelines.verify import verify as run_recipe

    print_verification(run_recipe(settings))
    print(f"written: {settings.folder / RESULT_FILE}")


command = declared(VerifyConfig, verify, arguments=["run"])
