"""`ifcurate status`: how far the submitted jobs of a run are."""

from __future__ import annotations

import time

from ifcurate.cli.declared import declared
from ifcurate.pipelines.status_config import StatusConfig

SECONDS_BETWEEN_LOOKS = 5.0


def status(settings: StatusConfig) -> None:
    """Show the submitted jobs of a run: tasks done, running, failed and why, tokens/s and time left."""
    from ifcurate.cli.tables import print_status
    from ifcurate.pipelines.status import status as run_recipe

    states = run_recipe(settings.run)
    print_status(states)
    while settings.watch and not all(state.is_over for state in states):
        time.sleep(SECONDS_BETWEEN_LOOKS)
        states = run_recipe(settings.run)
        print_status(states)


command = declared(StatusConfig, status, arguments=["run"])
