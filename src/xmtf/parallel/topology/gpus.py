"""What GPUs can do by their makers' data sheets: what MFU is measured against, and what the planner knows."""

from __future__ import annotations

from dataclasses import dataclass

from xmtf.errors import UnknownNameError

__all__ = ["EFFICIENCY", "GPUS", "PEAKS", "Gpu", "GpuPool", "find_gpu"]

EFFICIENCY = 0.5
"""Share of the data sheet's peak that matrix products are taken to reach. BLOOM's pretraining reported about 150 of
312 TFLOP/s on A100, recomputation, bubble and communication included; torchtitan an MFU of 51 to 61 % on 64 A100 with
FSDP2, Llama 2 and 3 from 8B to 70B."""
_HOPPER = 0.4
"""The same of H100 and H200, whose products outrun what surrounds them: torchtitan reports an MFU of 33 to 39 % on H100
at 500 W for Llama 3.1 8B, the less without torch.compile; LLM Foundry 35 to 46 % for rows of 2,048."""
_RESERVE = 0.06
_CONTEXT = 2**30


PEAKS = {
    "H200": 989e12, "H100 PCIe": 756e12, "H100": 989e12, "GH200": 989e12, "A100": 312e12, "A10": 125e12,
    "L40S": 362e12, "L4": 121e12, "RTX 4090": 165e12, "RTX 3090": 71e12, "V100": 125e12, "T4": 65e12,
}  # fmt: skip
"""Name of a card as torch reports it -> dense bf16 (V100, T4: fp16) operations a second."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """A card and how it is usually built in.

    Attributes:
        name: As in ``--gpu``.
        peak: Of :data:`PEAKS`.
        memory: Bytes.
        link: Bytes a second to another GPU of the node, each way.
        network: Bytes a second to another node, each way, for each GPU: one network card a GPU, as vendors' own
            systems have it.
        efficiency: Share of the peak that matrix products are taken to reach.
    """

    name: str
    peak: float
    memory: float
    link: float
    network: float
    efficiency: float = EFFICIENCY


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("a100", PEAKS["A100"], 80e9, 300e9, 25e9),
        Gpu("a100-40", PEAKS["A100"], 40e9, 300e9, 25e9),
        Gpu("h100", PEAKS["H100"], 80e9, 450e9, 50e9, _HOPPER),
        Gpu("h200", PEAKS["H200"], 141e9, 450e9, 50e9, _HOPPER),
        Gpu("v100", PEAKS["V100"], 32e9, 150e9, 12.5e9),
        Gpu("l40s", PEAKS["L40S"], 48e9, 32e9, 12.5e9),
        Gpu("a10", PEAKS["A10"], 24e9, 32e9, 12.5e9),
    )
}
"""By name. ``link`` is NVLink, or PCIe 4 where the card has none."""


def find_gpu(name: str) -> Gpu:
    """Return a card by name.

    Raises:
        UnknownNameError: Not known.
    """
    if name not in GPUS:
        raise UnknownNameError("GPU", name, GPUS, "--gpu")
    return GPUS[name]


@dataclass(frozen=True, slots=True)
class GpuPool:
    """What there is to train on.

    Attributes:
        gpu: The card.
        num_gpus: How many.
        memory: Bytes of each that may be used.
        per_node: GPUs of a node.
        given_efficiency: Share of the peak that matrix products reach; None for the card's.
    """

    gpu: Gpu
    num_gpus: int
    memory: float
    per_node: int = 8
    given_efficiency: float | None = None

    @property
    def efficiency(self) -> float:
        """Share of the peak that matrix products reach."""
        return self.gpu.efficiency if self.given_efficiency is None else self.given_efficiency

    @property
    def usable(self) -> float:
        """Bytes left after the driver's context (1 GiB) and 6 % for fragmentation and communication buffers."""
        return self.memory * (1 - _RESERVE) - _CONTEXT

    def bandwidth(self, processes: int) -> float:
        """Return bytes a second between neighbouring ``processes``: inside a node, or over the network."""
        return self.gpu.link if processes <= self.per_node else self.gpu.network
