"""Writes files whole or not at all, and reads small ones of unknown origin."""

from __future__ import annotations

import errno
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from lnn2loihi.errors import Lnn2LoihiError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: Largest file that `read_text` reads unless told otherwise, in bytes.
TEXT_LIMIT = 1 << 18
#: A dotted TOML key of more parts than any of ours; parsers take quadratic time over long ones.
_LONG_KEY = re.compile(
    r"""(?<![A-Za-z0-9_-])(?:(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){32}"""
)


def write_atomically(path: str | os.PathLike[str], content: bytes) -> Path:
    """Writes beside the target and renames: an interrupted write leaves the old file.

    Args:
        path: the target; its folder must exist. A symbolic link stays, and the file that it points
            to is written, as `open` would.
        content: the whole content.

    Returns:
        The path that was given.

    Raises:
        OSError: it cannot be written, or symbolic links lead in a circle.
    """
    target = Path(os.path.realpath(path))
    if target.is_symlink():  # realpath gives up on a circle, and renaming would replace a link
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return Path(path)


def read_text(
    path: str | os.PathLike[str], error: type[Lnn2LoihiError], limit: int = TEXT_LIMIT
) -> str:
    """The text of a small UTF-8 file.

    Args:
        path: the file.
        error: the exception to raise.
        limit: bytes that it may have.

    Raises:
        Lnn2LoihiError: of the given type: there is no such file, it is too large, it cannot be
            read, or it is not UTF-8.
    """
    file = Path(path)
    try:
        if not file.is_file():
            raise error(str(path), "there is no such file")
        if (size := file.stat().st_size) > limit:
            raise error(str(path), f"has {size:,} bytes; the limit is {limit:,}")
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
        Lnn2LoihiError: of the given type, with the line that is wrong.
    """
    if _LONG_KEY.search(text):
        raise error(subject, "is not valid TOML for our purposes: it has a key of over 32 parts")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as problem:
        raise error(subject, f"is not valid TOML ({problem})") from problem
