"""`ifcurate direct`: the second stage of `annotate` alone."""

from __future__ import annotations

from ifcurate.cli import options as o


def direct(
    run: o.RunFolder,
    toxic_queries: o.ToxicQueries = None,
    safe_queries: o.SafeQueries = None,
    max_queries: o.MaxQueries = None,
    damping: o.Damping = None,
    direction: o.DirectionFiles = None,
) -> None:
    """Stage 2: make the direction that queries and curvature point to."""
    given = {name: value for name, value in locals().items() if name != "run"}
    from ifcurate.cli.quiet import quieten
    from ifcurate.pipelines.direct import direct as run_stage
    from ifcurate.pipelines.run import continue_run

    quieten()
    opened, settings = continue_run(run, "direct", given)
    run_stage(opened, settings)
    for behaviour in opened.behaviours:
        print(f"direction: {opened.direction(behaviour)}")
