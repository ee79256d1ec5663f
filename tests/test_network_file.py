"""Float networks as files: what is loaded is what was saved, bit for bit; nothing else is read."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import variants
from graphs import INPUTS, beside_each_other, graphs
from hypothesis import HealthCheck, given, settings
from networks import random_ltc
from safetensors.numpy import load as load_arrays

import lnn2loihi as l2l
from lnn2loihi import artifact
from lnn2loihi.errors import ArtifactError, InputError
from lnn2loihi.families.product.layer import ProductLayer
from lnn2loihi.network_file import FORMAT, from_bytes, to_bytes
from lnn2loihi.sealed import NETWORKS


def small() -> l2l.LiquidNetwork:
    return variants.network(variants.Variant(memory=True, backbone=(4,), seed=1))


def changed(content: bytes, change: Any) -> bytes:
    """The file with another manifest, whose checksum is right."""
    manifest, arrays = NETWORKS.opened(content, "x")
    plain = json.loads(manifest)
    change(plain)
    return NETWORKS.to_bytes(json.dumps(plain, sort_keys=True), arrays)


class TestWhatComesBack:
    @given(graphs())
    @settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
    def test_any_graph(self, network: l2l.LiquidNetwork) -> None:
        content = to_bytes(network)
        loaded = from_bytes(content, "x")
        assert loaded == network and to_bytes(loaded) == content
        x = np.random.default_rng(0).normal(size=(2, 5, INPUTS))
        given: dict[str, Any] = {"timespans": x[..., 0] ** 2} if network.irregular else {}
        np.testing.assert_array_equal(
            loaded.evaluate(x, **given).outputs, network.evaluate(x, **given).outputs
        )

    @pytest.mark.parametrize(
        "network", [random_ltc(0), beside_each_other(3, irregular=True)], ids=["ltc", "two"]
    )
    def test_ltcs(self, network: l2l.LiquidNetwork) -> None:
        assert from_bytes(to_bytes(network), "x") == network

    def test_all_that_a_network_has(self, tmp_path: Path) -> None:
        network = dataclasses.replace(
            small(),
            name="ein Netz é",
            timespan=1 / 3,
            source={"importer": "x"},
            host=("softmax",),
            input_offset=np.full(small().input_size, 0.1),
            input_scale=np.full(small().input_size, 1 / 3),
        )
        path = l2l.save(network, tmp_path / "net.l2n")
        assert l2l.load(path) == network and l2l.import_network(path) == network
        other = path.rename(tmp_path / "net.any")
        assert l2l.load(other) == network and l2l.import_network(other) == network

    def test_integers_of_a_loaded_network(self, tmp_path: Path) -> None:
        network, x = small(), np.random.default_rng(0).normal(size=(2, 9, small().input_size))
        loaded = l2l.load(l2l.save(network, tmp_path / "net.l2n"))
        assert l2l.quantize(loaded, x) == l2l.quantize(network, x)


class Nobodys(ProductLayer):
    """A layer of a class that no family names."""


class TestRefusals:
    def test_what_no_file_holds(self) -> None:
        network = small()
        linear = l2l.Linear("one", np.ones((1, 1)), np.zeros(1))
        strange = object.__new__(l2l.LiquidNetwork)
        for field in dataclasses.fields(network):
            object.__setattr__(strange, field.name, getattr(network, field.name))
        object.__setattr__(strange, "layers", 2 * (Nobodys("own", *2 * (linear,)),))
        object.__setattr__(strange, "timespan", np.inf)
        with pytest.raises(ArtifactError) as found:
            to_bytes(strange)
        said = str(found.value)
        assert "layers.0 is a test_network_file.Nobodys" in said and "layers.1" in said
        assert "registered family" in said and "timespan is inf" in said

    def test_neither_program_nor_network_is_the_other(self, tmp_path: Path) -> None:
        x = np.zeros((1, 3, small().input_size))
        program = l2l.save(l2l.quantize(small(), x), tmp_path / "net.l2l")
        with pytest.raises(ArtifactError, match=r"format is .* not 'lnn2loihi network'"):
            from_bytes(program.read_bytes(), "x")
        network = l2l.save(small(), tmp_path / "net.l2n")
        with pytest.raises(ArtifactError, match=f"format is '{FORMAT}', not 'lnn2loihi program'"):
            artifact.load(network)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda m: m.update(schema=2), "schema version 2 is unknown"),
            (lambda m: m.update(schema=True), "schema version True"),
            (lambda m: m.update(format="x"), "format is 'x'"),
            (lambda m: m.update(network=1), "describes an int"),
            (lambda m: m["network"].update({"class": "Linear"}), "a Linear with fields: "),
            (
                lambda m: m["network"]["fields"]["layers"][0].update({"class": "mine:Layer"}),
                "'mine:Layer', and no installed family has it",
            ),
            (lambda m: m["network"]["fields"].update(more=1), "fields: 'more' too"),
            (lambda m: m["network"]["fields"].update(timespan=float("nan")), "a number nan"),
            (lambda m: m["network"]["fields"].update(timespan=-1.0), "timespan"),
            (lambda m: m["network"]["fields"].update(readout=None), "arrays that its manifest"),
            (
                lambda m: m["network"]["fields"].update(
                    input_scale=m["network"]["fields"]["input_offset"]
                ),
                "KeyError",
            ),
            (lambda m: m["network"]["fields"].update(name={"array": "x", "table": {}}), "an entry"),
            (lambda m: m["network"]["fields"].update(source={"table": 1}), "table that is none"),
        ],
    )  # fmt: skip
    def test_manifests(self, change: Any, said: str) -> None:
        with pytest.raises(ArtifactError, match=said):
            from_bytes(changed(to_bytes(small()), change), "x")

    def test_an_array_that_would_grow(self) -> None:
        manifest, arrays = NETWORKS.opened(to_bytes(small()), "x")
        name = next(one for one in arrays if one.endswith("weight"))
        arrays[name] = np.zeros(arrays[name].shape, np.bool_)
        with pytest.raises(ArtifactError, match="is an array of bool, expected float64"):
            from_bytes(NETWORKS.to_bytes(manifest, arrays), "x")

    def test_an_altered_file(self) -> None:
        content = bytearray(to_bytes(small()))
        content[-1] ^= 1
        with pytest.raises(ArtifactError, match="checksum does not match"):
            from_bytes(bytes(content), "x")
        assert load_arrays(bytes(content))

    def test_of_a_wrong_kind(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="LoihiProgram"):
            l2l.save(1, tmp_path / "x.l2n")
        with pytest.raises(ArtifactError, match="cannot be written"):
            l2l.save(small(), tmp_path / "no" / "x.l2n")
        with pytest.raises(ArtifactError, match="no such file"):
            l2l.load(tmp_path / "x.l2n")
        with pytest.raises(l2l.ImportNetworkError, match="options timespan"):
            l2l.import_network(l2l.save(small(), tmp_path / "x.l2n"), timespan=2.0)
