"""Files of compiled code: whole, and of nobody but those who may run code here anyway.

A library that is loaded is code that runs, and one that is damaged kills the process without a
word. So each carries a seal, the size and the SHA-256 of what stands before it (linkers write
their tables first, and loaders do not read on), and what lies in a folder is only taken if it is a
regular file, of this user or of the superuser, that nobody else can write to.
"""

from __future__ import annotations

import atexit
import fcntl
import functools
import hashlib
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SEAL = b"lnn2loihi sealed library 1\n"
#: Bytes of a seal.
SEAL_SIZE = len(_SEAL) + 8 + hashlib.sha256().digest_size
#: Largest library that is read (a limit of ours: they have some 20 KB, and 2 MB for the largest
#: programs).
LARGEST_LIBRARY = 1 << 27
#: Beginning of the names of folders in which compilers work, and of those that lnn2loihi 0.1 left.
_WORK, _OLD_WORK = ".building-", "tmp"
#: Seconds after which a folder that nobody holds is taken for a leftover.
_ABANDONED = 60.0
#: Kinds of machines that wheels are made for, as ELF has them: 64 bits, little endian, e_machine.
MACHINES = {"x86_64": b"\x02\x01\x3e\x00", "aarch64": b"\x02\x01\xb7\x00"}
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def sealed(content: bytes) -> bytes:
    """The content of a library with its seal."""
    digest = hashlib.sha256(content).digest()
    return content + _SEAL + len(content).to_bytes(8, "little") + digest


def is_whole(content: bytes) -> bool:
    """Whether a seal stands at the end and is that of what stands before it."""
    body, seal = content[:-SEAL_SIZE], content[-SEAL_SIZE:]
    return len(content) > SEAL_SIZE and content == sealed(body) and seal.startswith(_SEAL)


def why_not(path: Path, *owners: int) -> str:
    """Why a library may not be loaded, or "" if it may; nothing waits for a FIFO.

    Args:
        path: the file.
        owners: who may own it beside this user and the superuser.
    """
    try:
        about = os.lstat(path)
        if not stat.S_ISREG(about.st_mode):
            return "it is no regular file"
        reason = _foreign(about, owners)
        if reason:
            return reason
        if about.st_size > LARGEST_LIBRARY:
            return f"it has {about.st_size:,} bytes; the limit is {LARGEST_LIBRARY:,}"
        return "" if is_whole(path.read_bytes()) else "it is damaged"
    except FileNotFoundError:
        return "it is not there"
    except OSError as error:
        return f"it cannot be read ({error.strerror})"


def folder_problem(folder: Path) -> str:
    """Why nothing in a folder may be trusted, or "" if it may; it need not be there yet."""
    place = Path(os.path.abspath(folder))
    try:
        about = os.stat(place)
    except OSError:
        about = None
    if about is not None and stat.S_ISDIR(about.st_mode) and (reason := _foreign(about, ())):
        return reason
    for parent in dict.fromkeys((*place.parents, *Path(os.path.realpath(place)).parents)):
        try:
            mode = os.stat(parent).st_mode
        except OSError:
            continue
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            return f"{parent} can be written to by everybody (mode {stat.S_IMODE(mode):04o})"
    return ""


def _foreign(about: os.stat_result, owners: tuple[int, ...]) -> str:
    if about.st_uid not in (os.geteuid(), 0, *owners):
        return f"it belongs to user {about.st_uid}"
    if about.st_mode & _OTHERS_WRITE:
        return f"others can write to it (mode {stat.S_IMODE(about.st_mode):04o})"
    return ""


@functools.cache
def private_folder() -> Path:
    """A folder of this process alone, which goes when it ends."""
    folder = Path(tempfile.mkdtemp(prefix="lnn2loihi-engines-"))
    atexit.register(_remove_own, folder, os.getpid())
    return folder


def _remove_own(folder: Path, process: int) -> None:
    if os.getpid() == process:  # and not in a child of it
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def workplace(folder: Path) -> Iterator[Path]:
    """A folder beside the libraries for a compiler to work in; sweeps those of killed processes.

    Raises:
        OSError: it cannot be made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _sweep(folder)
    with tempfile.TemporaryDirectory(prefix=_WORK, dir=folder) as made:
        handle = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)  # until this process ends, however it does
            yield Path(made)
        finally:
            os.close(handle)


def _sweep(folder: Path) -> None:
    """Removes folders that no living process works in."""
    for entry in os.scandir(folder):
        ours = entry.name.startswith(_WORK) or _is_old_work(entry)
        try:
            about = entry.stat(follow_symlinks=False)
            if not (ours and stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid()):
                continue
            if time.time() - about.st_mtime < _ABANDONED:
                continue
            handle = os.open(entry.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(entry.path, ignore_errors=True)
            finally:
                os.close(handle)
        except OSError:
            continue  # somebody works in it, or has removed it


def _is_old_work(entry: os.DirEntry[str]) -> bool:
    """Whether lnn2loihi 0.1 made it: a temporary folder with nothing but its two files."""
    if not entry.name.startswith(_OLD_WORK) or len(entry.name) != len(_OLD_WORK) + 8:
        return False
    try:
        return set(os.listdir(entry.path)) <= {"text.c", "text.so"}
    except OSError:
        return False


def put(library: Path, target: Path, mode: int = 0o644) -> None:
    """Seals a library, or a program where its mode says so, and moves it to its place, whole and on
    the disk, or not at all.

    Raises:
        OSError: it cannot be written.
    """
    content = sealed(library.read_bytes())
    with library.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    library.chmod(mode)
    os.replace(library, target)
    handle = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError:  # some file systems do not sync folders; the seal tells what is damaged
        pass
    finally:
        os.close(handle)


def machine_of(path: Path) -> bytes:
    """Class, byte order and machine of a library or program, as MACHINES has them; empty for a file
    that does not say so.
    """
    with path.open("rb") as file:
        found = file.read(20)
    return found[4:6] + found[18:20] if found.startswith(b"\x7fELF") else b""


def is_for(library: Path, machine: bytes | None = None) -> bool:
    """Whether a library is for a kind of machine, where files say so.

    Args:
        library: what was compiled.
        machine: of MACHINES; by default that which Python runs on.
    """
    found, own = machine_of(library), machine or machine_of(Path(sys.executable))
    return not found or not own or found == own
