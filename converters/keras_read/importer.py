"""Imports models that Keras has saved, without Keras or TensorFlow.

What is accepted: `.keras` archives, `.weights.h5` with a description, and `.h5` files of old that
hold the whole model; Sequential and Functional models whose layers follow each other one by one:
`LSTM`, `GRU` (with reset_after=True), `RNN` of their cells, `CfC` and `LTC` of `ncps.keras` and
`ncps.tf`; `Dense`, also within `TimeDistributed`; `Activation`, `ReLU`, and at the end `Softmax`;
`BatchNormalization`, `Normalization`, `Rescaling`; `Dropout` and noise, which do nothing.

A `.weights.h5` holds no configuration; a short TOML file beside it, which `lnn2loihi inspect`
proposes, says which layers the model has, in their order, with what their arrays do not say::

    [network]
    module = "keras.Sequential"
    checkpoint = "net.weights.h5"    # absent where the path is given
    timespan = 1.0
    layers = [
        { class = "LSTM" },
        { class = "Dense", activation = "relu" },
        { class = "Dense" },
    ]

Whatever Keras has in the configuration of a layer may stand in its table. `net.weights.toml` or
`net.toml` beside `net.weights.h5` are found by themselves.

Layouts of the files: Keras 3, keras/src/saving/saving_lib.py and
keras/src/legacy/saving/legacy_h5_format.py.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from lnn2loihi.arguments import checks_kinds
from lnn2loihi.converters.files.description import (
    SIZE_LIMIT,
    Timespan,
    checked_timespan,
    read_table,
)
from lnn2loihi.converters.keras_read.chain import KerasChain
from lnn2loihi.converters.keras_read.described import (
    KerasDescription,
    described_config,
    description_of_table,
    proposed,
    unlisted,
)
from lnn2loihi.converters.keras_read.file import KERAS_SUFFIXES, has_variables, read_keras
from lnn2loihi.converters.keras_read.model import ModelError, layers_of
from lnn2loihi.converters.keras_read.refused import refusal
from lnn2loihi.converters.provenance import with_source
from lnn2loihi.errors import ImportNetworkError, NetworkError, Problems
from lnn2loihi.network import LiquidNetwork
from lnn2loihi.proposal import DescriptionProposal

#: A description of layers of Keras, one that names a file of Keras, and one that names an archive.
_OF_KERAS = re.compile(rb"""^\s*module\s*=\s*["']keras\.""", re.M)
_NAMES_NPZ = re.compile(rb"""^\s*checkpoint\s*=\s*["'][^"'\n]*\.npz["']""", re.M | re.I)
_NAMES_KERAS = re.compile(
    rb"""^\s*checkpoint\s*=\s*["'][^"'\n]*\.(keras|h5|hdf5)["']""", re.M | re.I
)
_log = logging.getLogger("lnn2loihi")


class KerasImporter:
    """Entry point `keras` of the group `lnn2loihi.importers`."""

    def recognises(self, source: object) -> bool:
        """Whether it is the path of a file of Keras, or of a description that names one; or what
        comes of Keras and is refused with the lines that make such a file.
        """
        if refusal(source):
            return True
        if not isinstance(source, (str, os.PathLike)):
            return False
        path = Path(source)
        if path.suffix.lower() in KERAS_SUFFIXES:
            return True
        if path.suffix.lower() == ".npz" and path.is_file():
            beside = _beside(path)
            return _says(beside, _OF_KERAS) if beside else has_variables(path)
        return path.suffix.lower() == ".toml" and (
            _says(path, _NAMES_KERAS) or (_says(path, _OF_KERAS) and _says(path, _NAMES_NPZ))
        )

    @checks_kinds(ImportNetworkError)
    def load(
        self,
        source: object,
        *,
        timespan: Timespan | None = None,
        description: str | os.PathLike[str] | None = None,
        name: str | None = None,
    ) -> LiquidNetwork:
        """Turns a file of Keras into a LiquidNetwork.

        Args:
            source: its path, or that of a description that names it.
            timespan: constant elapsed time between two samples, for layers that take one, or
                "irregular" where it comes with the samples; 1.0 where nobody says.
            description: path of the TOML file of a `.weights.h5`.
            name: name of the network; else the description's, else the file's.

        Raises:
            ImportNetworkError: lists everything that is not supported, damaged or contradictory.
            BackendMissingError: a wiring of ncps is to be built, and ncps is not installed.
        """
        if why := refusal(source):
            raise ImportNetworkError(_named(source), why)
        if not isinstance(source, (str, os.PathLike)):
            raise ImportNetworkError(_named(source), "it is no path; give that of a file of Keras")
        path, said = _described(Path(source), description)
        file = read_keras(path)
        if said is None and file.config is None:
            text = proposed(path, file).text or "# " + ", ".join(list(file.arrays)[:12])
            raise ImportNetworkError(
                str(path),
                "a file of weights does not say which layers its model has. Save the whole model, "
                f'model.save("net.keras"), or write the following to {toml_beside(path)} (check '
                f"it); lnn2loihi inspect --write does it\n\n{text}",
            )
        if said is not None and said.layers and file.config is not None:
            raise ImportNetworkError(
                str(path), "it says itself which layers it has; leave layers out of its description"
            )
        config = file.config or described_config(said, file)
        stated = said.timespan if said is not None and timespan is None else timespan
        chain = KerasChain(stated)
        try:
            chain.build(layers_of(file, config))
        except ModelError as error:
            raise ImportNetworkError(str(path), str(error)) from error
        if said is not None and (silent := unlisted(file, said.layers)):
            chain.notes["layers that the description leaves out"] = ", ".join(silent)
            _log.warning("%s: the description leaves out %s", path.name, ", ".join(silent))
        name = name or (said.name if said else None) or path.name.partition(".")[0]
        return _network(path, chain, timespan, said, name)

    def is_undescribed(self, path: Path) -> bool:
        """Whether a file of weights has neither a configuration nor a description."""
        if refusal(path):
            return False
        return _beside(path) is None and read_keras(path).config is None

    def propose(self, path: Path, state: str | None = None) -> DescriptionProposal:
        """The layers that a file of weights holds, and its description.

        Raises:
            ImportNetworkError: the file is damaged, or says itself what it holds.
        """
        if state is not None:
            raise ImportNetworkError(str(path), "it holds one state; leave state out")
        if why := refusal(path):
            raise ImportNetworkError(str(path), why)
        file = read_keras(path)
        if file.config is not None:
            raise ImportNetworkError(
                str(path), "it needs no description: it says itself which layers it has"
            )
        return proposed(path, file)


def _says(path: Path, what: re.Pattern[bytes]) -> bool:
    """Whether a file says something; it is parsed once, by whoever loads it."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return what.search(file.read(SIZE_LIMIT)) is not None


def _named(source: object) -> str:
    """What errors are about."""
    return str(source) if isinstance(source, (str, os.PathLike)) else type(source).__name__


def toml_beside(path: Path) -> Path:
    """Where the description of a file is looked for first."""
    return path.with_suffix(".toml")


def _beside(path: Path) -> Path | None:
    """The description beside a file; None where there is none."""
    short = path.with_suffix("").with_suffix(".toml")
    return next((one for one in (toml_beside(path), short) if one.is_file()), None)


def _described(
    path: Path, toml: str | os.PathLike[str] | None
) -> tuple[Path, KerasDescription | None]:
    """The file, and what its description says; from the path of either."""
    if path.suffix.lower() == ".toml":
        if toml is not None:
            raise ImportNetworkError(
                str(path), f"it is a description itself; do not give {toml} as well"
            )
        table = read_table(path)
        if not isinstance(table.get("checkpoint"), str):
            raise ImportNetworkError(
                str(path), 'it names no checkpoint; add checkpoint = "net.weights.h5" to [network]'
            )
        return path.parent / str(table["checkpoint"]), description_of_table(path, table)
    found = _beside(path) if toml is None else Path(toml)
    return path, None if found is None else description_of_table(found, read_table(found))


def _network(
    path: Path,
    chain: KerasChain,
    timespan: Timespan | None,
    said: KerasDescription | None,
    name: str,
) -> LiquidNetwork:
    """The network of the layers, or everything that is wrong with them."""
    problems = Problems(ImportNetworkError, str(path))
    problems.extend(list(dict.fromkeys(chain.problems)))
    described = None if said is None else said.timespan
    described = chain.timespan if described is None else described
    elapsed = checked_timespan(str(path), described if timespan is None else timespan)
    if not any(one.takes_time for one in chain.importers) and elapsed != 1.0:
        problems.add("its layers take no elapsed time; leave timespan out")
    for one in chain.importers:
        problems.extend([] if elapsed is None else one.timespan_problems(elapsed))
    problems.raise_if_any()
    try:
        network = LiquidNetwork(
            name, tuple(chain.layers), chain.readout, elapsed, host=chain.host,
            input_offset=chain.input_offset, input_scale=chain.input_scale,
        )  # fmt: skip
    except NetworkError as error:
        raise ImportNetworkError(str(path), error.problems) from error
    return with_source(network, {"importer": "keras", "file": path.name, **chain.notes})
