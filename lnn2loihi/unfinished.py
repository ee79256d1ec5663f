"""Files that are not whole yet, and locks: of an unfinished file while its writer lives, and of a
folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lnn2loihi.errors import InputError

#: End of the names of files that are not whole yet.
UNFINISHED = ".lnn2loihi"
#: Longest file name, in bytes, of which the names of unfinished files are made (systems take 255).
_LONGEST_NAME = 220


def unfinished_file(target: Path, mode: int) -> tuple[int, Path]:
    """A new file beside the target, locked, and its name.

    Nothing that is there is ever written to: what a dead writer of this user has left is removed,
    everything else left alone, and the next number taken.
    """
    name = target.name
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
    number = -1
    while True:
        number += 1
        temporary = target.parent / f".{name}.{number}{UNFINISHED}"
        _remove_abandoned(temporary)
        try:
            handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode)
        except FileExistsError:
            continue
        except OSError as error:  # nobody has asked for a file of that name
            raise OSError(error.errno, error.strerror, str(target)) from error
        # Between its making and its lock another writer may have taken it for an abandoned one.
        if _locked(handle) is not False and _is_still(handle, temporary):
            return handle, temporary
        os.close(handle)


def _remove_abandoned(temporary: Path) -> None:
    """Removes an unfinished file of this user whose writer has gone."""
    try:
        handle = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        found = os.fstat(handle)
        ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
        if ours and _locked(handle) and _is_still(handle, temporary):
            with suppress(OSError):
                temporary.unlink()
    finally:
        os.close(handle)


@contextmanager
def folder_locked(folder: str | os.PathLike[str], who: str) -> Iterator[None]:
    """Keeps others out of a folder that ask for its lock too; it ends with the process, whatever
    ends that.

    Args:
        folder: it must exist.
        who: what another one is, for the error, such as "build".

    Raises:
        InputError: another one has it.
        OSError: the folder cannot be opened.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _locked(handle) is False:
            raise InputError(
                os.fspath(folder),
                f"another {who} is at work here: wait until it has ended, or give another folder",
            )
        yield
    finally:
        os.close(handle)


def _locked(handle: int) -> bool | None:
    """Takes the lock of an open file: false where a writer has it, None where there are none."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: what is abandoned there stays
        return None
    return True


def _is_still(handle: int, temporary: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(temporary))
    except OSError:
        return False
