"""What the code of a package raises while the library runs it, as an error that names it.

Errors of ours pass as they are: they say what is wrong already.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lnn2loihi.errors import Lnn2LoihiError

#: Longest text of an exception in a message, in characters; it may be a whole traceback.
_LONGEST = 300
_OWN = str(Path(__file__).parent)
#: Parts of paths of the libraries that such code calls: their lines say little.
_CALLED = ("numpy", "torch", "site-packages/onnx")


def one_line(error: BaseException) -> str:
    """Type and text of an exception in one line of bounded length."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:_LONGEST]


def described(error: BaseException) -> str:
    """Type, text and place of an exception: "KeyError: 'gain' at family/lowering.py:12".

    The place is the last line outside of this library, NumPy and PyTorch; none where there is none.
    """
    said = one_line(error)
    places = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_theirs(frame)]
    if not places:
        return said
    path = Path(places[-1].filename)
    return f"{said} at {path.parent.name}/{path.name}:{places[-1].lineno}"


def _is_theirs(frame: traceback.FrameSummary) -> bool:
    parts = Path(frame.filename).parts
    return not frame.filename.startswith(_OWN) and not any(name in parts for name in _CALLED)


@contextmanager
def named(
    error: type[Lnn2LoihiError], owner: Callable[[], tuple[str, str]], doing: str
) -> Iterator[None]:
    """Whatever code inside raises becomes an error of ours.

    Args:
        error: its type.
        owner: asked where something fails: whose code it is, such as "family 'x' (package 1.0)",
            and the package that can be removed, "" where that is not known.
        doing: what was called, such as "lower() of stage 'layer_0'".
    """
    try:
        yield
    except (Lnn2LoihiError, MemoryError):
        raise
    except Exception as found:  # whatever a stranger's code raises
        raise raised(error, owner(), doing, found) from found


def raised(
    error: type[Lnn2LoihiError], owner: tuple[str, str], doing: str, found: Exception
) -> Lnn2LoihiError:
    """The error for what code of a package raised; arguments as of `named`."""
    subject, package = owner
    return error(subject, f"{doing} raised {described(found)}; {mend(package)}")


def mend(package: str = "") -> str:
    """What to do about a fault of a package, of "name version"."""
    name = package.partition(" ")[0]
    if name == "lnn2loihi":
        return "this is a fault of lnn2loihi; please report it"
    return f"mend it or remove {name}" if name and name != "__main__" else "mend it"
