"""URLs that carry a password or a signature: settings are written to disk and shown, so these have no place in them."""

from __future__ import annotations

import re

from ifcurate.errors import InputError

_PASSWORD = re.compile(r"(?<!github)://(?P<user>[^/?#@]*):(?P<secret>[^/?#]*)@")
"""`github://OWNER:REPOSITORY@BRANCH` is a place, not a password."""
_SIGNED = re.compile(
    r"(?P<name>[?&](?:x-amz-(?:signature|credential|security-token)|x-goog-(?:signature|credential)|signature|sig|"
    r"awsaccesskeyid|googleaccessid|token|access_token|api_?key|key|secret|password)=)(?P<secret>[^&#]*)",
    re.IGNORECASE,
)
REMEDY = (
    "give the URL alone, and the credentials where its file system looks for them, for s3:// AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY or ~/.aws/credentials"
)


def has_credentials(text: str) -> bool:
    """Whether `text` is a URL, or a chain of them, with a password or a signature in it."""
    return "://" in text and bool(_PASSWORD.search(text) or _SIGNED.search(text))


def require_none(place: str) -> None:
    """Refuse a place whose URL holds credentials.

    Raises:
        InputError: it does; repeats nothing of them.
    """
    if has_credentials(place):
        raise InputError(f"{masked(place)}: holds credentials; {REMEDY}.")


def masked(text: str) -> str:
    """`text` as it may be shown."""
    return _SIGNED.sub(r"\g<name>***", _PASSWORD.sub("://***@", text)) if "://" in text else text
