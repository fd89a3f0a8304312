"""The one exception that means: the input is at fault, not the program."""

from __future__ import annotations

import errno
import os

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_TORCH_CANNOT_WRITE = ("PytorchStreamWriter failed writing", "inline_container.cc", "iostream error")
"""What `torch.save` says of a full disk, and of a lost one; the system's words are not in it."""


class InputError(Exception):
    """Something the user gave cannot be used.

    The message is one sentence that names the file, row or option and says what to do. The command line prints
    it without a traceback and exits with 2.
    """


def is_disk_full(error: BaseException) -> bool:
    """Whether `error` says that a file could not grow: disk full, quota reached or file-size limit.

    Libraries that are not written in Python raise exceptions of their own kinds, with the system's words in them.
    """
    if isinstance(error, OSError):
        return error.errno in _DISK_FULL
    said = (*_TORCH_CANNOT_WRITE, *map(os.strerror, _DISK_FULL))
    return isinstance(error, Exception) and any(words in str(error) for words in said)


def sentence(error: InputError | OSError) -> str:
    """What to tell the user; an `OSError` (no permission, no space, a lost disk) names its file where it can."""
    if isinstance(error, InputError) or error.strerror is None:
        return str(error)
    file = f"{error.filename}: " if error.filename else ""
    return f"{file}{error.strerror}; put that right and run the same command again, or see more with --debug."


def first_line(error: BaseException) -> str:
    """What `error` says, in one line that ends without a full stop."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(" .:;") if lines else type(error).__name__
