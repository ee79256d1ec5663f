"""Asks importers of families, which may be strangers', and names what fails in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from lnn2loihi.converters.files.tensor import Tensor
from lnn2loihi.converters.recurrent.family import ContractError, FamilyImporter
from lnn2loihi.errors import ImportNetworkError, Lnn2LoihiError
from lnn2loihi.family import FAMILIES, family_of_importer
from lnn2loihi.faults import described, mend

R = TypeVar("R")


def asked(subject: str, importer: FamilyImporter, method: Callable[..., R], *given: Any) -> R:
    """What a method of a family's importer answers.

    Raises:
        ImportNetworkError: it failed, by a fault of its own.
    """
    try:
        return method(*given)
    except (Lnn2LoihiError, OSError, MemoryError):
        raise
    except Exception as error:  # a stranger's importer, or a module that somebody has changed
        advices = []
        package = package_of(importer)
        if not package.startswith("lnn2loihi ") or method.__name__ != "read_module":
            advices.append(mend(package))
        if method.__name__ == "read_module" and not isinstance(error, ContractError):
            advices.append(
                "if the module was changed after it was built, give it as its package builds it"
            )
        raise ImportNetworkError(
            subject,
            f"the importer {importer.name} of {importer.modules[0]} cannot read it "
            f"({described(error)}); {'; or, '.join(advices)}",
        ) from error


def package_of(importer: FamilyImporter) -> str:
    """Name and version of the package that brings an importer; "" where nobody knows."""
    family = family_of_importer(importer)
    return FAMILIES.package(family) if family in FAMILIES.names() else ""


def fits(importer: FamilyImporter, state: Mapping[str, Tensor]) -> bool:
    """Whether a checkpoint looks like a family's."""
    try:
        return importer.is_checkpoint(state)
    except Exception:  # a stranger's importer, asked about what is not its
        return False
