"""Writes files whole or not at all, never over what was read; reads small ones of any origin."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from lnn2loihi.errors import InputError, Lnn2LoihiError
from lnn2loihi.replacing import check_replacing
from lnn2loihi.unfinished import UNFINISHED, unfinished_file

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: Largest file that `read_text` reads unless told otherwise, in bytes.
TEXT_LIMIT = 1 << 18
#: Most entries of a TOML file that is parsed (equal signs, commas and brackets, wherever they
#: stand): its parsers take some 20 us for each.
TOML_LIMIT = 1 << 14
#: A dotted TOML key of more parts than any of ours; parsers take quadratic time over long ones.
_LONG_KEY = re.compile(
    r"""(?<![A-Za-z0-9_-])(?:(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){32}"""
)
#: While inputs are kept: each file that was read, by device and inode.
_INPUTS: ContextVar[dict[tuple[int, int], str] | None] = ContextVar("inputs", default=None)


@contextmanager
def inputs_kept() -> Iterator[Mapping[tuple[int, int], str]]:
    """While it lasts, `write_atomically` replaces no file that `note_input` was told of.

    What is read within another one is kept there too.

    Yields:
        The files that were read so far, by device and inode.
    """
    inputs: dict[tuple[int, int], str] = {}
    token = _INPUTS.set(inputs)
    try:
        yield inputs
    finally:
        _INPUTS.reset(token)
        outer = _INPUTS.get()
        if outer is not None:
            outer.update(inputs)


def note_input(path: str | os.PathLike[str]) -> None:
    """Notes that a file is read, under whatever name: every reader says so first."""
    inputs = _INPUTS.get()
    if inputs is not None:
        with suppress(OSError, ValueError):
            found = os.stat(path)
            inputs[found.st_dev, found.st_ino] = os.fspath(path)


def check_not_input(path: str | os.PathLike[str]) -> None:
    """Refuses a target that is one of the inputs: by another name, a link or a hard link too.

    Raises:
        InputError: it is, while inputs are kept; names both.
    """
    inputs = _INPUTS.get()
    if not inputs:
        return
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return
    source = inputs.get((found.st_dev, found.st_ino))
    # Everything is written to a terminal and to /dev/null, and nothing is lost there.
    if source is not None and not stat.S_ISCHR(found.st_mode):
        raise InputError(
            os.fspath(path),
            f"is the file {source!r}, which is read here: writing would destroy it; give another "
            "file",
        )


def why_no_file(path: str | os.PathLike[str]) -> str:
    """What stands at the path of a file that should be read, as the end of a sentence."""
    return _why_no(path, "file")


def why_no_folder(path: str | os.PathLike[str]) -> str:
    """What stands at the path of a folder, as the end of a sentence."""
    return _why_no(path, "folder")


def _why_no(path: str | os.PathLike[str], wanted: str) -> str:
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # absent, or no name that a file can have
        return f"there is no such {wanted}"
    kinds = (
        (stat.S_ISREG, "a file"),
        (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"),
    )  # fmt: skip
    kind = next((name for test, name in kinds if test(mode)), "something else")
    return f"is {kind}, not a {wanted}"


def write_atomically(path: str | os.PathLike[str], content: bytes) -> Path:
    """Writes beside the target and renames: an interrupted write leaves the old file.

    A file that is replaced keeps its permissions and, where the system allows it, its owner; a new
    one gets what `open` would give it. Other hard links to a file that is replaced keep the old
    content. A character device (a terminal, /dev/null) is written to as it is.

    The unfinished file is called `.NAME.0.lnn2loihi`, and locked while its writer lives; what a
    writer left behind that was killed is removed by the next one to the same target.

    Args:
        path: the target; its folder must exist. A symbolic link stays, and the file that it points
            to is written, as `open` would.
        content: the whole content.

    Returns:
        The path that was given.

    Raises:
        InputError: it is read (`inputs_kept`), or of another kind (`lnn2loihi.replacing`).
        OSError: it cannot be written, may not be written (nobody, the superuser included, replaces
            a file that is read-only), is no file (a pipe, a socket, a folder), or symbolic links
            lead in a circle.
    """
    check_not_input(path)
    target, old = look_at_target(path)
    if old is not None and stat.S_ISCHR(old.st_mode):
        with open(path, "wb") as device:
            device.write(content)
        return Path(path)
    check_replacing(path, content)
    with _beside(target, old, content) as temporary:
        os.replace(temporary, target)
    return Path(path)


def write_together(contents: Mapping[str | os.PathLike[str], bytes]) -> None:
    """Writes several files, each as `write_atomically` does: all of them, or none.

    All are written beside their targets before the first one is renamed. Should renaming fail, what
    stood there before is put back.

    Args:
        contents: the whole content of each target; two of them are not the same file.

    Raises:
        InputError: one is a file that is read, see `inputs_kept`, or the same file as another.
        OSError: one cannot be written; see `write_atomically`.
    """
    replaced: list[tuple[Path, bytes | None]] = []
    with ExitStack() as stack:
        ready: list[tuple[Path, Path]] = []
        for path, content in contents.items():
            check_not_input(path)
            target, old = look_at_target(path)
            if old is not None and stat.S_ISCHR(old.st_mode):
                raise OSError(errno.EINVAL, "it is a device, and one file of several", str(path))
            if any(_are_one(target, other) for _, other in ready):
                raise InputError(os.fspath(path), "is the same file as another that is written")
            check_replacing(path, content)
            ready.append((stack.enter_context(_beside(target, old, content)), target))
        try:
            for temporary, target in ready:
                before = target.read_bytes() if target.exists() else None
                replaced.append((target, before))
                os.replace(temporary, target)
        except BaseException:
            for target, before in replaced:
                if before is None:
                    target.unlink(missing_ok=True)
                elif target.read_bytes() != before:
                    write_atomically(target, before)
            raise


def _are_one(one: Path, other: Path) -> bool:
    return one == other or (one.exists() and other.exists() and os.path.samefile(one, other))


@contextmanager
def _beside(target: Path, old: os.stat_result | None, content: bytes) -> Iterator[Path]:
    """An unfinished file with the whole content, to be renamed while it lasts; else it is removed.

    Args:
        target: what it will replace.
        old: what is known of that; None where there is none.
        content: the content.
    """
    handle, temporary = unfinished_file(target, 0o666 if old is None else old.st_mode & 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if old is not None:
                for owner, group in ((old.st_uid, -1), (-1, old.st_gid)):
                    with suppress(OSError):  # only the superuser gives files away
                        os.fchown(handle, owner, group)
                os.fchmod(handle, stat.S_IMODE(old.st_mode) & 0o777)
            file.flush()
            os.fsync(handle)
            yield temporary
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_folder_atomically(path: str | os.PathLike[str], content: Mapping[str, bytes]) -> Path:
    """Writes a folder of files beside its place and renames: nobody sees half of it.

    A folder that is there is replaced, if it holds nothing but files of these names; should the
    machine stop between two renames, the old one lies beside, as `.NAME.0.old.lnn2loihi`.

    Args:
        path: the folder; the one above it must exist. A symbolic link stays, and what it points to
            is replaced.
        content: the files, by their names.

    Returns:
        The path that was given.

    Raises:
        InputError: what is there holds something else, or files that are read or of another kind.
        OSError: it cannot be written, or is no folder.
    """
    if "\0" in os.fspath(path):
        raise OSError(errno.EINVAL, "a file name holds no zero byte", str(path))
    target = Path(os.path.realpath(path))
    if target.exists():
        _check_replaceable_folder(path, target, content)
    number = 0
    while True:
        made = target.parent / f".{target.name}.{number}{UNFINISHED}"
        old = target.parent / f".{target.name}.{number}.old{UNFINISHED}"
        number += 1
        if old.exists():
            continue
        try:
            made.mkdir()
            break
        except FileExistsError:
            continue
    try:
        for name, data in content.items():
            write_atomically(made / name, data)
        if target.exists():
            target.rename(old)
        try:
            made.rename(target)
        except BaseException:
            if old.exists():
                old.rename(target)
            raise
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)
    return Path(path)


def _check_replaceable_folder(
    path: str | os.PathLike[str], target: Path, content: Mapping[str, bytes]
) -> None:
    """Refuses what is no folder, and one that holds more than what will replace it."""
    if not target.is_dir():
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    if not os.access(target, os.W_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    others = []
    for one in sorted(target.iterdir()):
        check_not_input(one)
        if one.name in content and not one.is_dir():
            check_replacing(one, content[one.name])
        else:
            others.append(one.name)
    if others:
        more = f" and {len(others) - 3} more" * (len(others) > 3)
        raise InputError(
            os.fspath(path),
            f"holds {', '.join(others[:3])}{more}, which would be lost: give a new folder, or one "
            f"that holds nothing but {', '.join(content)}",
        )


def look_at_target(path: str | os.PathLike[str]) -> tuple[Path, os.stat_result | None]:
    """Refuses a target that `write_atomically` would refuse for what stands there now.

    Returns:
        The file behind all links, and what is known of it; None where there is none yet.

    Raises:
        OSError: as `write_atomically`.
    """
    if "\0" in os.fspath(path):
        raise OSError(errno.EINVAL, "a file name holds no zero byte", str(path))
    target = Path(os.path.realpath(path))
    if target.is_symlink():  # realpath gives up on a circle, and renaming would replace a link
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    try:
        # Not of the target: behind /dev/stdout stands a name that may be nobody's.
        old = os.stat(path)
    except FileNotFoundError:
        old = None
    if old is not None and stat.S_ISCHR(old.st_mode):
        return target, old
    if old is not None:
        _check_replaceable(path, target, old)
    if target.parent.is_dir() and not os.access(target.parent, os.W_OK | os.X_OK):
        raise OSError(
            errno.EACCES, f"nothing can be written to the folder {target.parent}", str(path)
        )
    return target, old


def _check_replaceable(path: str | os.PathLike[str], target: Path, old: os.stat_result) -> None:
    """Refuses what is no file, what may not be written, and a file without this name."""
    problem = None
    if stat.S_ISDIR(old.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(old.st_mode):
        problem = errno.EINVAL, "it is no file, but a pipe, a socket or a disk"
    elif not target.exists():  # an open file without a name, behind /dev/stdout
        problem = errno.ENOENT, "it has no name under which it could be replaced"
    elif not old.st_mode & 0o222 or not os.access(target, os.W_OK):
        problem = errno.EACCES, f"it is read-only (mode {stat.S_IMODE(old.st_mode):04o})"
    if problem is not None:
        raise OSError(*problem, str(path))


def read_text(
    path: str | os.PathLike[str], error: type[Lnn2LoihiError], limit: int = TEXT_LIMIT
) -> str:
    """The text of a small UTF-8 file.

    Args:
        path: the file.
        error: the exception to raise.
        limit: bytes that it may have.

    Raises:
        Lnn2LoihiError: of the given type: there is no such file or it is a folder, a pipe or a
            device, it is too large, it cannot be read, or it is not UTF-8.
    """
    file = Path(path)
    try:
        if not file.is_file():
            raise error(str(path), why_no_file(file))
        if (size := file.stat().st_size) > limit:
            raise error(str(path), f"has {size:,} bytes; the limit is {limit:,}")
        note_input(file)
        return file.read_bytes().decode("utf-8-sig")
    except OSError as problem:
        raise error(str(path), f"cannot be read: {problem.strerror or problem}") from problem
    except ValueError as problem:  # not UTF-8, or a path with a zero byte
        raise error(str(path), f"is not a text file in UTF-8 ({problem})") from problem


def parse_toml(text: str, subject: str, error: type[Lnn2LoihiError]) -> dict[str, Any]:
    """The content of a TOML text.

    Args:
        text: the text.
        subject: what errors are about, usually the file's name.
        error: the exception to raise.

    Raises:
        Lnn2LoihiError: of the given type, with the line that is wrong; or it has more than
            TOML_LIMIT entries.
    """
    if (entries := sum(map(text.count, "=,["))) > TOML_LIMIT:
        raise error(
            subject,
            f"is not valid TOML for our purposes: it has {entries:,} entries; at most "
            f"{TOML_LIMIT:,} are read",
        )
    if _LONG_KEY.search(text):
        raise error(subject, "is not valid TOML for our purposes: it has a key of over 32 parts")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as problem:
        raise error(subject, f"is not valid TOML ({problem})") from problem
