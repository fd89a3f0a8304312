"""What is read from files that travel: one typed model an artifact, and one sentence for whatever does not fit it."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError

from ifcurate.errors import InputError

BehaviourName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=128)]
"""It begins the names of columns, and names files."""
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Artifact(BaseModel):
    """Base of what files say of themselves; fields of later versions are ignored, NaN and infinity are none of ours."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class OpenArtifact(Artifact):
    """An artifact whose further fields are kept as they are."""

    model_config = ConfigDict(extra="allow")


Kind = TypeVar("Kind")


def read_artifact(kind: type[Kind], content: str | bytes | dict[str, Any], where: object, remedy: str) -> Kind:
    """`content`, JSON or what it stands for, as a `kind`.

    Args:
        kind: an `Artifact`, or a dataclass.
        content: what the file says.
        where: the file, for the message.
        remedy: what to do about a damaged one, for the message.

    Raises:
        InputError: the content is not JSON, or a field is missing or does not fit; names file and field.
    """
    adapter = TypeAdapter(kind)
    try:
        return adapter.validate_python(content) if isinstance(content, dict) else adapter.validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        problem = f"{field}: {first['msg']}" if field else first["msg"]
        raise InputError(f"{where}: is damaged or of another version ({problem}); {remedy}.") from error
