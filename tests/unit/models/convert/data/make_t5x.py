"""Write t5x.tar.gz: a small mT5 as T5X's checkpointer writes it, by the format's own libraries (tensorstore, flax).

    pip install tensorstore flax
    python make_t5x.py

Weights are those of `weight` in test_t5x.py, which the test gives to transformers' mT5 too.
"""

import json
import tarfile
import tempfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import tensorstore
from flax import serialization
from flax.traverse_util import flatten_dict, unflatten_dict

HIDDEN, HEADS, HEAD, INNER, VOCAB, LAYERS, BUCKETS = 12, 2, 4, 20, 24, 2, 32


def weight(name, shape):
    """Return the weight of that name in transformers; as in test_t5x.py."""
    numbers = np.arange(int(np.prod(shape)), dtype=np.float64) + sum(map(ord, name))
    return (0.4 * np.sin(numbers * 1.7)).astype(np.float32).reshape(shape)


def kernel(name, outputs, inputs):
    return {"kernel": weight(f"{name}.weight", (outputs, inputs)).T}


def scale(name):
    return {"scale": weight(f"{name}.weight", (HIDDEN,))}


def attention(name):
    width = HEADS * HEAD
    parts = {"query": "q", "key": "k", "value": "v"}
    return {theirs: kernel(f"{name}.{own}", width, HIDDEN) for theirs, own in parts.items()} | {
        "out": kernel(f"{name}.o", HIDDEN, width)
    }


def feed_forward(name):
    inner = {part: kernel(f"{name}.{part}", INNER, HIDDEN) for part in ("wi_0", "wi_1")}
    return inner | {"wo": kernel(f"{name}.wo", HIDDEN, INNER)}


def stack(name):
    bias = f"{name}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    tree = {
        "relpos_bias": {"rel_embedding": weight(bias, (BUCKETS, HEADS)).T},
        f"{name}_norm": scale(f"{name}.final_layer_norm"),
    }
    for index in range(LAYERS):
        layers = f"{name}.block.{index}.layer"
        if name == "encoder":
            tree[f"layers_{index}"] = {
                "pre_attention_layer_norm": scale(f"{layers}.0.layer_norm"),
                "attention": attention(f"{layers}.0.SelfAttention"),
                "pre_mlp_layer_norm": scale(f"{layers}.1.layer_norm"),
                "mlp": feed_forward(f"{layers}.1.DenseReluDense"),
            }
        else:
            tree[f"layers_{index}"] = {
                "pre_self_attention_layer_norm": scale(f"{layers}.0.layer_norm"),
                "self_attention": attention(f"{layers}.0.SelfAttention"),
                "pre_cross_attention_layer_norm": scale(f"{layers}.1.layer_norm"),
                "encoder_decoder_attention": attention(f"{layers}.1.EncDecAttention"),
                "pre_mlp_layer_norm": scale(f"{layers}.2.layer_norm"),
                "mlp": feed_forward(f"{layers}.2.DenseReluDense"),
            }
    return tree


def target():
    return {
        "token_embedder": {"embedding": weight("shared.weight", (VOCAB, HIDDEN))},
        "encoder": stack("encoder"),
        "decoder": stack("decoder") | {"logits_dense": kernel("lm_head", VOCAB, HIDDEN)},
    }


def write(folder, path, array, dtype):
    """Write one array as T5X does; return what stands in its place in the tree."""
    name = ".".join(path)
    chunks = [-(-array.shape[0] * 2 // 3), *array.shape[1:]]  # does not divide: the last chunk hangs over
    metadata = {"compressor": {"id": "gzip"}, "shape": list(array.shape), "chunks": chunks}
    spec = {"driver": "zarr", "dtype": dtype, "kvstore": {"driver": "file", "path": name}, "metadata": metadata}
    real = json.loads(json.dumps(spec))
    real["kvstore"]["path"] = str(folder / name)
    tensorstore.open(real, create=True, open=True).result().write(array.astype(jnp.dtype(dtype))).result()
    return tensorstore.Spec(spec).to_json()


def checkpoint(folder, dtype):
    folder.mkdir(parents=True)
    weights = flatten_dict(target())
    small = ("decoder", "decoder_norm", "scale")  # stands in the tree, as what is not partitioned does
    tree = {
        path: array.astype(jnp.dtype(dtype)) if path == small else write(folder, ("target", *path), array, dtype)
        for path, array in weights.items()
    }
    state = {"step": np.asarray(1_000_000, np.int32), "param_states": {}}
    content = {"version": 3, "optimizer": {"target": unflatten_dict(tree), "state": state}}
    (folder / "checkpoint").write_bytes(serialization.to_bytes(content))


def main():
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        for kind in ("float32", "bfloat16"):
            checkpoint(root / kind / "checkpoint_1000000", kind)
        with tarfile.open(Path(__file__).with_name("t5x.tar.gz"), "w:gz") as archive:
            for kind in ("float32", "bfloat16"):
                archive.add(root / kind, kind)


if __name__ == "__main__":
    main()
