"""How the documents become a site: `make docs`.

The pages are plain Markdown, which reads the same where it is not built. What a site needs beside
that is made of the pages themselves: the order of pages is the lists of index.md, and the reference
is the names that api.md lists.
"""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

DOCUMENTS = Path(__file__).parent
sys.path.insert(0, str(DOCUMENTS.parent))

import numpy.typing  # noqa: E402

from lnn2loihi.version import VERSION  # noqa: E402


class ArrayLike:
    """Stands in signatures for NumPy's union of ten types."""

    __module__ = "numpy.typing"


numpy.typing.ArrayLike = ArrayLike  # pyright: ignore[reportAttributeAccessIssue]

project = "lnn2loihi"
author = "the lnn2loihi developers"
project_copyright = author
release = version = VERSION

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 4
# Docstrings say in words what attributes are ("integers"), which are names of other things too.
suppress_warnings = ["ref.python"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_class_signature = "separated"
autodoc_default_options = {"members": True, "exclude-members": "__init__, __new__"}
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"lnn2loihi {VERSION}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options: dict[str, Any] = {"navigation_with_keys": True, "top_of_page_buttons": []}

#: `- [Title](page.md): what it is` in index.md.
_ENTRY = re.compile(r"^- \[[^\]]+\]\(([\w-]+)\.md\)", re.MULTILINE)
#: A link to what is in the repository and not in the site.
_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)#\s]+)(?:#[^)]*)?\)")
#: A name in api.md.
_NAME = re.compile(r"^- `([\w.]+)`$", re.MULTILINE)
#: Headings of docstrings behind which text is indented.
_SECTION = re.compile(r"\s*(Attributes|Args|Returns|Raises|Yields|Note|Example|Examples):")
_CODE = re.compile(r"(``[^`]+``|`[^`]+`)")
#: Stars, bars, and underlines at the end of words, which mean something in reStructuredText.
_SPECIAL = re.compile(r"([*|]|(?<=\w)_(?!\w))")


def with_order(text: str) -> str:
    """index.md with a table of contents that is not shown for each of its sections."""
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    for position, part in enumerate(parts):
        pages = _ENTRY.findall(part)
        if pages:
            title = part.splitlines()[0].removeprefix("## ")
            tree = "\n".join(["```{toctree}", ":hidden:", f":caption: {title}", "", *pages, "```"])
            parts[position] = f"{part.rstrip()}\n\n{tree}\n\n"
    return "".join(parts)


def with_reference(text: str) -> str:
    """api.md with what docstrings say in the place of each name."""
    return _NAME.sub(lambda found: directive(found[1]), text)


def directive(name: str) -> str:
    """The directive of autodoc that describes a public name."""
    module, _, attribute = name.rpartition(".")
    found = getattr(import_module(module), attribute)
    kind = "data"
    if isinstance(found, type):
        kind = "exception" if issubclass(found, BaseException) else "class"
    elif callable(found):
        kind = "function"
    return f"```{{eval-rst}}\n.. auto{kind}:: {name}\n```\n"


def read(app: Any, page: str, source: list[str]) -> None:
    """What Sphinx reads in the place of a page."""
    del app
    text = source[0]
    if page == "index":
        text = with_order(text)
    if page == "api":
        text = with_reference(text)
    source[0] = _OUTSIDE.sub(outside, text)


def outside(link: re.Match[str]) -> str:
    """A link out of the site, as text that says where in the repository it leads."""
    text, path = link.groups()
    return text if path.rstrip("/") in text else f"{text} (`{path}`)"


def docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """A docstring as reStructuredText."""
    del app, what, name, obj, options
    lines[:] = marked(lines)


def types(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Types as napoleon writes them, in which the end of `numpy.bool_` means nothing else."""
    del app, what, name, obj, options
    lines[:] = [
        re.sub(r"(?<=\w)_(?!\w)", r"\\_", line) if line.startswith(":vartype") else line
        for line in lines
    ]


def marked(lines: list[str]) -> list[str]:
    """Lines of a docstring in Google's style, in which indented blocks are shown as they are, and
    names in backquotes as code.
    """
    found: list[str] = []
    around, block = "", None  # the last line of text, and its indentation where a block follows
    for number, line in enumerate(lines):
        indentation = len(line) - len(line.lstrip())
        if block is not None and line.strip() and indentation <= block:
            block = None
        if block is None and line.strip() and number and not lines[number - 1].strip():
            outer = len(around) - len(around.lstrip())
            if around and indentation > outer and not _SECTION.fullmatch(around):
                found += [] if around.endswith("::") else [" " * outer + "::", ""]
                block = outer
        if line.strip() and block is None:
            around = line
        found.append(line if block is not None else _marked_line(line))
    return found


def _marked_line(line: str) -> str:
    parts = _CODE.split(line)
    parts[::2] = [_SPECIAL.sub(r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [f"``{part.strip('`')}``" for part in parts[1::2]]
    return "".join(parts)


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", read)
    app.connect("autodoc-process-docstring", docstring, priority=100)  # before napoleon
    app.connect("autodoc-process-docstring", types, priority=900)
