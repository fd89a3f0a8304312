"""Where the stages of a run are computed, and what a cluster is asked for."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from ifcurate.config import Config


class ClusterSettings(Config):
    """What an executor of datatrove's is told. None of it changes a result."""

    panel = "Cluster"

    executor: Literal["local", "slurm", "ray"] = Field(
        "local",
        description="where stages run: here; as Slurm jobs, which are submitted and not waited for; or on the Ray "
        "cluster that RAY_ADDRESS names, or that this machine is",
    )
    tasks: int | None = Field(None, ge=1, le=1000, description="most tasks of a stage; default: one a shard")
    cpus_per_task: int = Field(1, ge=1, description="cores of a task")
    gpus_per_task: int = Field(0, ge=0, description="GPUs of a task that needs the model")
    memory_per_cpu: int = Field(4, ge=1, description="GB a core")
    partition: str | None = Field(None, description="of Slurm; required there")
    time_limit: str = Field("24:00:00", description="of a Slurm task, as sbatch takes it")
    sbatch: list[str] = Field([], description="another option of sbatch, such as account=lab; may be repeated")
    setup: str | None = Field(
        None, description="shell command before every Slurm task; default: puts the environment of this command first"
    )

    @field_validator("sbatch")
    @classmethod
    def _are_options(cls, value: list[str]) -> list[str]:
        for each in value:
            name, equals, of = each.partition("=")
            if name.startswith("-") or not (name and equals and of):
                raise ValueError(f"{each!r} is not name=value, without dashes")
        return value

    @field_validator("partition", "time_limit", "sbatch", "setup")
    @classmethod
    def _is_given_to_slurm(cls, value: object, info: ValidationInfo) -> object:
        default = cls.model_fields[str(info.field_name)].default
        if info.data.get("executor") == "ray" and value != default:
            raise ValueError("is for --executor slurm: tasks on Ray have the environment and the limits of its nodes")
        return value

    @property
    def sbatch_options(self) -> dict[str, str]:
        """`sbatch` by name."""
        return dict(each.split("=", 1) for each in self.sbatch)
