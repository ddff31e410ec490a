"""Write t5x_adafactor.tar.gz: an mT5, T5X's own Adafactor after three updates of it, and what a fourth makes.

    pip install tensorstore flax absl-py
    python make_t5x_adafactor.py .../t5x/adafactor.py       (from github.com/google-research/t5x)

The model is large enough that matrices are factored: square ones (query, key, value, out) and others. Gradients are
those of `gradient` in test_import_state_t5x.py.
"""

import json
import sys
import tarfile
import tempfile
import types
from pathlib import Path

import jax.numpy as jnp
import make_t5x
import numpy as np
from flax import serialization, struct
from flax.traverse_util import flatten_dict, unflatten_dict

SHAPE = {"HIDDEN": 128, "HEADS": 2, "HEAD": 64, "INNER": 136, "VOCAB": 384, "LAYERS": 1}
LEARNING_RATE, UPDATES = 0.01, 3


def weight(name, shape):
    numbers = np.arange(int(np.prod(shape))) + sum(map(ord, name))
    return ((numbers % 17 - 8) / 32).astype(np.float32).reshape(shape)


def gradient(path, shape, step):
    """Return the gradient of an array of T5X; rows and columns differ. As in test_import_state_t5x.py."""
    numbers = np.arange(int(np.prod(shape))) + sum(map(ord, path)) + 5 * step
    pattern = ((numbers % 13 - 6) / 64).astype(np.float32).reshape(shape)
    for axis, period in enumerate((5, 3)[: len(shape)]):
        scale = 1 + np.arange(shape[axis], dtype=np.float32) % period
        pattern = pattern * np.expand_dims(scale, [other for other in range(len(shape)) if other != axis])
    return pattern


def adafactor(source):
    """Import T5X's adafactor.py without the rest of T5X, of which it needs a base class, a record and a function."""

    class OptimizerDef:
        def __init__(self, hyper_params):
            self.hyper_params = hyper_params

    @struct.dataclass
    class OptimizerState:
        step: jnp.ndarray
        param_states: dict

    flatten = {"flatten_dict_string_keys": lambda tree: flatten_dict(tree, sep="/")}
    package = types.ModuleType("t5x")
    package.utils = types.SimpleNamespace(**flatten)
    optimizers = types.ModuleType("t5x.optimizers")
    optimizers.OptimizerDef, optimizers.OptimizerState = OptimizerDef, OptimizerState
    sys.modules |= {"t5x": package, "t5x.optimizers": optimizers}
    module = types.ModuleType("t5x.adafactor")
    sys.modules["t5x.adafactor"] = module
    exec(compile(Path(source).read_text(), source, "exec"), vars(module))
    return module.Adafactor(learning_rate=LEARNING_RATE, decay_rate=0.8, step_offset=0)


def update(optimizer, params, state, step):
    grads = {path: gradient(".".join(path), array.shape, step) for path, array in flatten_dict(params).items()}
    return optimizer.apply_gradient(optimizer.hyper_params, params, state, unflatten_dict(grads))


def some(array):
    """Return some numbers of an array; as in test_import_state_t5x.py."""
    flat = np.asarray(array).reshape(-1)
    return flat[:: -(-len(flat) // 9)].astype(float).tolist()


def main():
    vars(make_t5x).update(SHAPE, weight=weight)
    optimizer, params = adafactor(sys.argv[1]), make_t5x.target()
    state = optimizer.init_state(params)
    for step in range(UPDATES):
        _, state = update(optimizer, params, state, step)  # weights stay as they were, which packs well
    after, _ = update(optimizer, params, state, UPDATES)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / f"checkpoint_{UPDATES}"
        folder.mkdir()
        content = serialization.to_state_dict({"target": params, "param_states": state.param_states})
        tree = {
            path: make_t5x.write(
                folder, path if path[0] == "target" else ("state", *path), np.asarray(array), "float32"
            )
            for path, array in flatten_dict(content).items()
        }
        stored = unflatten_dict(tree)
        states = {"step": np.asarray(state.step, np.int32), "param_states": stored["param_states"]}
        written = {"version": 3, "optimizer": {"target": stored["target"], "state": states}}
        (folder / "checkpoint").write_bytes(serialization.to_bytes(written))
        expected = {".".join(path): some(array) for path, array in flatten_dict(after).items()}
        (folder / "expected.json").write_text(json.dumps(expected))
        with tarfile.open(Path(__file__).with_name("t5x_adafactor.tar.gz"), "w:gz") as archive:
            archive.add(folder, folder.name)


if __name__ == "__main__":
    main()
