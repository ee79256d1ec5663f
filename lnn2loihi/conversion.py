"""The verbs that make networks and programs of what they come from: import_network, import_program,
propose_description and convert.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lnn2loihi import plugins
from lnn2loihi.arguments import checks_kinds
from lnn2loihi.converted.parts import ConvertedModule
from lnn2loihi.errors import (
    ImportNetworkError,
    Lnn2LoihiError,
    PluginError,
)
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.options import check_options, read_options
from lnn2loihi.plugins import (
    Converter,
    Importer,
    ProgramImporter,
    SeveralFormats,
)
from lnn2loihi.printable import kind_of_value
from lnn2loihi.program import LoihiProgram
from lnn2loihi.proposal import DescriptionProposal

_log = logging.getLogger("lnn2loihi")


@checks_kinds(ImportNetworkError)
def import_network(source: object, *, format: str | None = None, **options: Any) -> LiquidNetwork:
    """Makes a LiquidNetwork of a live module or of a checkpoint file.

    Args:
        source: a `torch.nn.Module`, or the path of a checkpoint or description.
        format: name of the importer, or of a family ("gru"); found from `source` where absent.
        options: passed to the importer; those of recurrent layers and checkpoints are described in
            `lnn2loihi.converters.recurrent.importer.FamiliesImporter.load`.

    Raises:
        ImportNetworkError: no importer recognises the source, or it lists what does not fit.
            The same where there is no importer of that name, or its package is broken.
        PluginError: the importer of another package fails.
    """
    source = Path(source) if isinstance(source, (str, os.PathLike)) else source
    importer = _importer(source, format)
    with plugins.IMPORTERS.naming(importer, "load()"):
        check_options(importer.load, options, ImportNetworkError)
        made = importer.load(source, **options)
        if not isinstance(made, LiquidNetwork):
            raise TypeError(f"an answer of type {type(made).__name__}, not LiquidNetwork")
    return made


@checks_kinds(ImportNetworkError)
def import_program(
    source: str | os.PathLike[str], *, format: str | None = None, **options: Any
) -> LoihiProgram:
    """Makes a LoihiProgram of a file that holds integers already, such as lava-dl's `.net`.

        program = l2l.import_program("network.net")

    There is nothing to quantize in it, and no floating point to compare it with: it is what
    `quantize` answers for a network, and `load` for a file of lnn2loihi.

    Args:
        source: path of the file.
        format: name of the importer ("lavadl"); found from `source` where absent.
        options: passed to the importer.

    Raises:
        ImportNetworkError: no importer recognises the file, there is none of that name, or it lists
            what does not fit.
        BackendMissingError: reading it needs a package that is not installed.
        PluginError: the importer of another package fails.
    """
    importer = _program_importer(Path(source), format)
    with plugins.PROGRAM_IMPORTERS.naming(importer, "load_program()"):
        check_options(importer.load_program, options, ImportNetworkError)
        made = importer.load_program(Path(source), **options)
        if not isinstance(made, LoihiProgram):
            raise TypeError(f"an answer of type {type(made).__name__}, not LoihiProgram")
    return made


def program_options(source: Path, texts: Iterable[str]) -> dict[str, Any]:
    """Options of the importer of a program, of texts `name=value`: see `read_options`."""
    return read_options(_program_importer(source, None).load_program, texts, ImportNetworkError)


def _program_importer(source: Path, format: str | None) -> ProgramImporter:
    """The importer of that name, or of a file."""
    if not _exists(source):
        raise ImportNetworkError(str(source), "there is no such file")
    if format is not None:
        try:
            return plugins.PROGRAM_IMPORTERS.get(format)
        except PluginError as error:
            raise ImportNetworkError(error.subject, error.problems) from error
    found = next((one for one in _working_program_importers() if _recognises(one, source)), None)
    if found is None:
        known = ", ".join(plugins.PROGRAM_IMPORTERS.names())
        raise ImportNetworkError(
            str(source),
            f"no importer of programs recognises it; registered are: {known or 'none'}. Give a "
            ".net file of lava-dl; what lnn2loihi has saved (.l2l) goes to load, and networks in "
            "floating point to import_network",
        )
    return found


def _working_program_importers() -> list[ProgramImporter]:
    return [one for _, one in plugins.PROGRAM_IMPORTERS.working()]


def _recognises(importer: Importer | ProgramImporter, source: object) -> bool:
    """Whether an importer recognises a source; one that fails is named, and breaks no other."""
    try:
        return bool(importer.recognises(source))
    except Lnn2LoihiError:
        raise
    except Exception as error:  # a stranger's importer, asked about something that is not its
        _log.warning(
            "importer %s is left out: asked whether it recognises the source, it raised %s: %s",
            type(importer).__qualname__, type(error).__name__, error,
        )  # fmt: skip
        return False


@checks_kinds(ImportNetworkError)
def propose_description(
    source: str | os.PathLike[str], *, state: str | None = None
) -> DescriptionProposal:
    """Says what a file of weights may be, and writes the descriptions that importing it would take.

        proposal = l2l.propose_description("weights.pt")
        print(proposal.summary())
        proposal.write()                              # weights.toml, beside it
        network = l2l.import_network("weights.pt")

    What keys and shapes do not tell (the mode of a CfC, activations, elapsed times, unfolds) stands
    as a guess in the description, with a comment.

    Args:
        source: path of the file.
        state: which of several states in it is meant, by its key; None for all of them.

    Returns:
        All ways to read the file, those that work first; none where nothing in it is known.

    Raises:
        ImportNetworkError: the file is absent, damaged or hostile, or none of weights.
        BackendMissingError: reading it needs a package that is not installed.
    """
    path = Path(source)
    importer = _importer(path, None)
    propose = getattr(importer, "propose", None)
    if propose is None or path.suffix.lower() == ".toml":
        raise ImportNetworkError(
            str(path), "it needs no description: give it to import_network, or inspect it"
        )
    with plugins.IMPORTERS.naming(importer, "propose()"):
        made = propose(path, state)
        if not isinstance(made, DescriptionProposal):
            raise TypeError(f"an answer of type {type(made).__name__}, not DescriptionProposal")
    return made


def is_undescribed(source: Path) -> bool:
    """Whether importing a file would ask for a description that is not there."""
    if not source.is_file() or source.suffix.lower() == ".toml":
        return False
    asks = getattr(_importer(source, None), "is_undescribed", None)
    return asks is not None and bool(asks(source))


@checks_kinds(ImportNetworkError)
def convert(module: object, /, *example_inputs: Any, **example_keywords: Any) -> ConvertedModule:
    """Makes one object of any trained module: the chip gets what it can take, the host the rest.

        converted = lnn2loihi.convert(module, x)     # x as forward takes it
        answer = converted.predict(x)                # what module(x) answers

    Forward runs on the example, and what it does with it is followed, operator by operator. On the
    chip there are recurrent layers of every family, and around them linear maps, activations,
    sums, products, concatenations and slices of features; convolutions, attention, softmax,
    normalisation by the statistics of a sample, and whatever mixes the steps of a sequence, stay
    on the host, before, between and behind the parts on the chip, each with its reason
    (`HostPart.reasons`). See docs/modules.md.

    Args:
        module: a `torch.nn.Module`, what only wraps one (DataParallel, the result of
            torch.compile), or a method of one; it is left as it is.
        *example_inputs: what it is called with: tensors and arrays, alone or in tuples, lists and
            dicts; all else is a constant.
        **example_keywords: the same by keyword.

    Returns:
        Float networks and host parts, compared with the module in double precision on the example,
        on wide inputs, and on 300 steps where the length may vary.

    Raises:
        ImportNetworkError: forward cannot be run on the example, or followed (which line, what was
            expected there, what to do); no recurrent part of it can run on the chip (why, for
            each); or what was made of it answers otherwise.
        PluginError: the importer of another package fails.
    """
    for _, importer in plugins.IMPORTERS.working():
        if isinstance(importer, Converter) and importer.converts(module):
            with plugins.IMPORTERS.naming(importer, "convert()"):
                made = importer.convert(module, example_inputs, example_keywords)
                if not isinstance(made, ConvertedModule):
                    raise TypeError(f"an answer of type {type(made).__name__}, not ConvertedModule")
            return made
    raise ImportNetworkError(
        kind_of_value(module),
        "it is no torch.nn.Module, and no method of one; give the module. Files are read by "
        "import_network",
    )


def import_options(source: Path, texts: Iterable[str]) -> dict[str, Any]:
    """Options of the importer of a file, of texts `name=value`: see `read_options`."""
    return read_options(_importer(source, None).load, texts, ImportNetworkError)


def _importer(source: object, format: str | None) -> Importer:
    """The importer of that name, or of a source."""
    if isinstance(source, Path) and not _exists(source):
        raise ImportNetworkError(str(source), "there is no such file")
    if format is not None:
        return _importer_named(format)
    importer = _importer_of(source)
    if (importer is None or _takes_anything(importer, source)) and any(
        _recognises(one, source) for one in _working_program_importers()
    ):
        raise ImportNetworkError(
            str(source),
            "it holds a network in integers, with nothing to quantize: give it to import_program, "
            "or at the command line to: lnn2loihi import",
        )
    if importer is not None:
        return importer
    what = str(source) if isinstance(source, Path) else kind_of_value(source)
    if isinstance(source, Mapping):
        raise ImportNetworkError(
            what,
            "no importer recognises it. A state_dict holds arrays by key, not what is computed "
            "with them: load it into its module and give that (module.load_state_dict(...)), or "
            "give the path of its file, which takes a description; lnn2loihi inspect FILE proposes "
            "one",
        )
    known = ", ".join(plugins.IMPORTERS.names())
    raise ImportNetworkError(
        what,
        "no importer recognises it; registered are: "
        f"{known or 'none (is lnn2loihi installed? run pip install .)'}. "
        "Give a recurrent layer (ncps.torch.CfC, torch.nn.GRU, ...), a module of such layers and "
        "dense ones, or a .pt or .safetensors checkpoint with its .toml description",
    )


def _importer_named(format: str) -> Importer:
    """The importer of that name, or the one for that name among those for several formats.

    Raises:
        ImportNetworkError: there is none, or its package is broken.
    """
    several: list[SeveralFormats] = []
    if format not in plugins.IMPORTERS.names():
        several = [one for _, one in plugins.IMPORTERS.working() if isinstance(one, SeveralFormats)]
    for importer in several:
        if (found := importer.named(format)) is not None:
            return found
    try:
        return plugins.IMPORTERS.get(format)
    except PluginError as error:
        names = ", ".join(name for importer in several for name in importer.names())
        also = f"; of families: {names}" if names else ""
        problems = [f"{problem}{also}" for problem in error.problems]
        raise ImportNetworkError(error.subject, problems) from error


def _importer_of(source: object) -> Importer | None:
    """The first importer that recognises a source; those that take anything are asked last."""
    working = [one for _, one in plugins.IMPORTERS.working()]
    for importer in sorted(working, key=lambda one: _takes_anything(one, source)):
        if _recognises(importer, source):
            return importer
    return None


def _takes_anything(importer: Importer, source: object) -> bool:
    says = getattr(importer, "catch_all", False)
    try:
        return bool(says(source) if callable(says) else says)
    except Exception:  # a stranger's importer, asked about something that is not its
        return True


def is_recognised(source: Path) -> bool:
    """Whether an importer says that it reads a file or a folder, or why it does not."""
    return _importer_of(source) is not None


def _exists(path: Path) -> bool:
    """Whether there is such a file or folder, or a checkpoint of TensorFlow, whose path is what the
    names of its files begin with.
    """
    try:
        return path.exists() or path.with_name(f"{path.name}.index").exists()
    except (OSError, ValueError):  # no name of a file: too long, or with characters that none has
        return False
