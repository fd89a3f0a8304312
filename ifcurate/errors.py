"""The one exception that means: the input is at fault, not the program."""

from __future__ import annotations

import errno

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class InputError(Exception):
    """Something the user gave cannot be used.

    The message is one sentence that names the file, row or option and says what to do. The command line prints
    it without a traceback and exits with 2.
    """


def is_disk_full(error: BaseException) -> bool:
    """Whether `error` says that a file could not grow: disk full, quota reached or file-size limit."""
    return isinstance(error, OSError) and error.errno in _DISK_FULL
