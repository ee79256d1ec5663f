"""What holds weights of Keras or TensorFlow and cannot be read here: what to save instead."""

from __future__ import annotations

import os
import re
from pathlib import Path

#: Second half of a checkpoint of TensorFlow.
_DATA = re.compile(r"\.data-[0-9]{5}-of-[0-9]{5}$")
#: First parts of the modules of classes of Keras, and of MLX.
_KERAS, _MLX = ("keras", "tf_keras", "tensorflow"), "mlx"
#: What makes an archive of a checkpoint, and of a SavedModel, where TensorFlow is.
_LINES = """
    import numpy as np, tensorflow as tf
    r = tf.train.load_checkpoint({})
    np.savez("net.npz", **{{k: r.get_tensor(k) for k in r.get_variable_to_shape_map()}})"""
_LINES_OF_FOLDER = """
    import numpy as np, tensorflow as tf
    m = tf.saved_model.load({})
    np.savez("net.npz", **{{v.name: v.numpy() for v in m.variables}})"""
#: A folder that TensorFlow or Keras has saved as a whole holds this.
_SAVED_MODEL = "saved_model.pb"


def refusal(source: object) -> str:
    """Why a live object, or the path of a checkpoint of TensorFlow, is not read, with the lines
    that make a file of it that is; "" for all else.
    """
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if (folder := _saved_model(path)) is not None:
            return _converting("a SavedModel", _LINES_OF_FOLDER.format(repr(str(folder))))
        if (beginning := _checkpoint(path)) is not None:
            return _converting("a checkpoint", _LINES.format(repr(str(beginning))))
        return ""
    # What a class of theirs is derived from counts: models of users are.
    packages = {kind.__module__.partition(".")[0] for kind in type(source).__mro__}
    if packages & set(_KERAS):
        return (
            "a live model of Keras is not looked into: its file is. Save it with "
            'model.save("net.keras"), or where Keras cannot save its configuration (a wired CfC of '
            'ncps.tf, a class of your own) with model.save_weights("net.weights.h5"), and give the '
            "path; neither Keras nor TensorFlow is needed to read it"
        )
    if _MLX in packages:
        return (
            "a live module of MLX is not looked into: its file is. Save it with "
            'module.save_weights("net.npz") or "net.safetensors", and give the path with a '
            "description; MLX is not needed to read it"
        )
    return ""


def _saved_model(path: Path) -> Path | None:
    """The folder of a SavedModel, of its path or of its file; None where it is none."""
    try:
        if path.name == _SAVED_MODEL and path.is_file():
            return path.parent
        return path if (path / _SAVED_MODEL).is_file() else None
    except (OSError, ValueError):  # no name of a file
        return None


def _checkpoint(path: Path) -> Path | None:
    """What the files of a checkpoint of TensorFlow begin with; None where it is none.

    Args:
        path: that, one of its files, or the folder that holds it.
    """
    try:
        if path.suffix == ".index" and path.is_file():
            return path.with_suffix("")
        if _DATA.search(path.name) and path.is_file():
            return path.with_name(_DATA.sub("", path.name))
        if path.is_dir():
            found = sorted(one for one in path.iterdir() if one.suffix == ".index")
            return found[-1].with_suffix("") if found else None
        beside = path.with_name(f"{path.name}.index")
        return path if not path.exists() and beside.is_file() else None
    except (OSError, ValueError):  # no name of a file
        return None


def _converting(what: str, lines: str) -> str:
    return (
        f"it is {what} of TensorFlow, which TensorFlow alone reads. Where that is installed, these "
        "three lines make a file of it; describe that one (lnn2loihi inspect net.npz --write), or "
        f"save the model itself as .keras or .weights.h5:\n{lines}"
    )
