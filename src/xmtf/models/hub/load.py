"""Load a model through transformers: a folder, or a GGUF file that is dequantised."""

from __future__ import annotations

import contextlib
import pickle  # for its exception only
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from xmtf.errors import ConfigError, DataError, SourceError, XmtfError, require
from xmtf.gguf.header import read_gguf
from xmtf.models.files.stored import FLOATS, StoredTensors
from xmtf.models.finite import require_finite
from xmtf.models.hub.encoder_decoder import HubEncoderDecoder
from xmtf.models.hub.gguf import ARCHITECTURES, correct_sizes, gguf_config, gguf_tensors
from xmtf.models.hub.head import find_encoder_decoder_head, find_head
from xmtf.models.hub.kinds import check_kind
from xmtf.models.hub.model import HubModel
from xmtf.models.hub.network import PREFIX
from xmtf.models.hub.quiet import quiet
from xmtf.models.interface import Family

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["hub_shape", "load_gguf", "load_hub_folder", "open_hub_folder"]


def load_hub_folder(folder: Path, *, family: Family, device: str, dtype: torch.dtype) -> HubModel | HubEncoderDecoder:
    """Load a folder in Hugging Face format, in evaluation mode.

    Args:
        folder: Holds ``config.json`` and weights; code in it is not run.
        family: Of the model.
        device: Where the weights go.
        dtype: What they are converted to.

    Raises:
        ConfigError: Transformers does not know the model, or it is not a language model.
        SourceError: The files cannot be read.
        DataError: The files lack weights of the model.
    """
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    kind: Any = AutoModelForCausalLM if family == "causal" else AutoModelForSeq2SeqLM
    with _loading(folder.name):
        check_kind(folder, family)
        network, info = kind.from_pretrained(
            folder, dtype=dtype, local_files_only=True, trust_remote_code=False, output_loading_info=True
        )
    _require_all(info["missing_keys"], folder)
    _require_floats(network, folder)
    if family == "causal":
        return _wrap(network, folder.name, device)
    network = network.to(device).eval()
    require_finite(network, f"model {folder.name!r}")
    return HubEncoderDecoder(network, find_encoder_decoder_head(network, folder.name), folder.name)


def _require_all(missing: Collection[str], path: Path) -> None:
    """Refuse a model of which weights are missing: transformers would draw them at random."""
    if missing:
        some = ", ".join(sorted(missing)[:3])
        raise DataError(f"{path}: the files lack {len(missing)} weights of the model: {some}")


def _require_floats(network: Any, folder: Path) -> None:
    """Refuse parameters that are stored as whole numbers; quantised models say how theirs are to be read."""
    if getattr(network.config, "quantization_config", None) is not None:
        return
    names = [name for name, _ in network.named_parameters()]
    for stored, kind in StoredTensors(folder, lambda name: name).kinds.items():
        if kind not in FLOATS and any(name == stored or name.endswith(f".{stored}") for name in names):
            raise DataError(f"{folder}: {stored!r} has dtype {kind}, not one of weights")


def open_hub_folder(folder: Path) -> tuple[HubModel, StoredTensors] | None:
    """Return a causal model with its parameters on the meta device, and the files that they are stored in.

    Its head is not compared with the model's own logits, which takes weights: see :meth:`HubModel.check_head`.

    Returns:
        None where parameters are stored under other names or shapes than the model gives them: transformers then
        merges, splits or renames tensors as it loads, and has to do so.

    Raises:
        ConfigError: Transformers does not know the model, or it is not a language model.
        DataError: A weight file is torn.
    """
    model = hub_shape(folder)
    stored = StoredTensors(folder, lambda theirs: f"{PREFIX}{theirs}")
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    return (model, stored) if stored.shapes == shapes else None


def hub_shape(folder: Path) -> HubModel:
    """Return a causal model with its parameters on the meta device; the folder needs no weights, only ``config.json``.

    Raises:
        ConfigError: Transformers does not know the model, or it is not a language model.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    with _loading(folder.name), _parameters_on_meta():
        check_kind(folder, "causal")
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        network = AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=False)
        if network.can_generate():  # as from_pretrained does
            own = (folder / "generation_config.json").is_file()
            more: dict[str, Any] = {} if own else {"config_file_name": "config.json", "_from_model_config": True}
            network.generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True, **more)
    return HubModel(network.eval(), find_head(network, folder.name), folder.name)


@contextlib.contextmanager
def _parameters_on_meta() -> Iterator[None]:
    """Build modules with their parameters on the meta device; buffers, which no file holds, are computed as ever."""
    modules: Any = torch.nn.Module
    register = modules.register_parameter

    def on_meta(module: torch.nn.Module, name: str, parameter: torch.nn.Parameter | None) -> None:
        if parameter is not None and not parameter.is_meta:
            parameter = torch.nn.Parameter(parameter.to("meta"), requires_grad=parameter.requires_grad)
        register(module, name, parameter)

    modules.register_parameter = on_meta
    try:
        yield
    finally:
        modules.register_parameter = register


def load_gguf(path: Path, *, device: str, dtype: torch.dtype) -> HubModel:
    """Load a GGUF file, its quantised weights turned into plain ones of ``dtype``.

    Files of the Llama kind are read by :mod:`xmtf.models.hub.gguf`, others by transformers. Its own way
    (``gguf_file=``) does the same but asks for the package accelerate.

    Raises:
        MissingExtraError: The package gguf is not installed.
        ConfigError: Transformers does not read this kind of model from GGUF.
        SourceError: The file cannot be read.
    """
    require("gguf", "train")
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig

    from xmtf.gguf.reader import quick_gguf  # the package gguf is optional

    with _loading(path.name), quick_gguf(vocabulary=False):
        file = read_gguf(path)
        if file.architecture in ARCHITECTURES:
            known = gguf_config(file)
            tensors = dict(gguf_tensors(file, known, dtype))
            config = AutoConfig.for_model(**known)
        else:
            config = AutoConfig.from_pretrained(path.parent, gguf_file=path.name, local_files_only=True)
            correct_sizes(config, file)
            tensors = _other_tensors(path, config, dtype)
        network, info = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)].from_pretrained(
            None, config=config, state_dict=tensors, dtype=dtype, output_loading_info=True
        )
    _require_all(info["missing_keys"], path)
    return _wrap(network, path.name, device)


def _other_tensors(path: Path, config: object, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Return the weights of a GGUF file as transformers reads them."""
    from transformers import AutoModelForCausalLM
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    with torch.device("meta"):
        shape = AutoModelForCausalLM.from_config(config)
    names = _Names(shape, {shape.base_model_prefix: shape.base_model})
    read = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=names, torch_dtype=dtype)
    tensors: dict[str, torch.Tensor] = read["tensors"]
    return tensors


class _Names:
    """A network as the names of its tensors, one level deep.

    Transformers searches for tensor names in every module of a network in turn and builds a table of all names each
    time: half a minute for 30 layers. The network itself and its body are enough.
    """

    def __init__(self, network: PreTrainedModel, children: dict[str, Any] | None = None) -> None:
        self.config = network.config
        self.state_dict = network.state_dict
        self._children = children or {}

    def named_children(self) -> list[tuple[str, _Names]]:
        return [(name, _Names(child)) for name, child in self._children.items()]


def _wrap(network: PreTrainedModel, label: str, device: str) -> HubModel:
    network = network.to(device).eval()
    require_finite(network, f"model {label!r}")
    return HubModel(network, find_head(network, label), label)


@contextlib.contextmanager
def _loading(label: str) -> Iterator[None]:
    """Load quietly, and turn what transformers raises into our errors."""
    try:
        with quiet():
            yield
    except XmtfError:
        raise
    except (SafetensorError, pickle.UnpicklingError, EOFError, RuntimeError, TypeError, IndexError) as error:
        raise DataError(f"model {label!r}: its files are damaged or belong to another model: {_line(error)}") from error
    except MemoryError as error:
        raise DataError(f"model {label!r}: needs more memory than available: {_line(error)}") from error
    except (ValueError, KeyError, AttributeError, ImportError) as error:
        raise ConfigError(
            f"model {label!r}: transformers cannot load it as a language model: {_line(error)}"
        ) from error
    except OSError as error:
        raise SourceError(f"model {label!r}: {_line(error)}") from error


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
