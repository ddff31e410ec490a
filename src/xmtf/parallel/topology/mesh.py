"""Which process does what: the axes of the device mesh.

============  =========================================================================================
axis          processes along it
============  =========================================================================================
pp            hold consecutive blocks of the model (pipeline stages)
dp_replicate  hold the same and compute different rows
dp_shard      compute different rows, and each keeps a shard of weights, gradients and optimizer (FSDP2)
tp            hold slices of every matrix and compute the same rows
============  =========================================================================================

The last axis varies fastest, so that tensor-parallel processes, which talk most, are neighbours::

    rank            0 1 2 3 4 5 6 7
    pp 2            0 0 0 0 1 1 1 1
    dp_shard 2      0 0 1 1 0 0 1 1
    tp 2            0 1 0 1 0 1 0 1
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from xmtf.errors import ConfigError
from xmtf.models.torch_private import forget_meshes, set_group_timeout
from xmtf.parallel.topology.parallel_dims import AXES, ParallelDims
from xmtf.parallel.topology.ranks import ALONE, Ranks
from xmtf.recipe.schema import Parallel

__all__ = ["Mesh", "build_mesh", "mesh_of", "resolve_dims"]


@dataclass(frozen=True, slots=True)
class Mesh:
    """The processes of a run, by axis, seen from one of them.

    Attributes:
        dims: Processes along each axis.
        world: All processes.
        data: Those that compute different rows: ``dp_replicate`` and ``dp_shard`` together.
        replicate: Those along ``dp_replicate``.
        shard: Those along ``dp_shard``.
        tensor: Those along ``tp``.
        pipe: Those along ``pp``.
        ends: The first and the last pipeline stage, in either of them; elsewhere this process alone.
        fsdp: What FSDP2 takes: one axis, or two where there are replicas; None without ``dp_shard``.
        slices: What torch's styles of tensor parallelism take: the ``tp`` axis; None without it.
    """

    dims: ParallelDims
    world: Ranks = ALONE
    data: Ranks = ALONE
    replicate: Ranks = ALONE
    shard: Ranks = ALONE
    tensor: Ranks = ALONE
    pipe: Ranks = ALONE
    ends: Ranks = ALONE
    fsdp: DeviceMesh | None = None
    slices: DeviceMesh | None = None


def resolve_dims(parallel: Parallel, num_processes: int) -> ParallelDims:
    """Return the processes along each axis.

    Raises:
        ConfigError: They do not multiply to the number of processes.
    """
    rest = parallel.dp_shard * parallel.tp * parallel.pp
    replicate = parallel.dp_replicate or max(1, num_processes // rest)
    result = ParallelDims(parallel.pp, replicate, parallel.dp_shard, parallel.tp)
    if result.total != num_processes:
        axes = " x ".join(f"{axis} {getattr(result, axis)}" for axis in AXES)
        raise ConfigError(
            f"training.parallel: {axes} needs {result.total} processes, but there are {num_processes}; start as many "
            f"with `torchrun --nproc-per-node`, or change the axes"
        )
    return result


def build_mesh(parallel: Parallel, world: Ranks, device: torch.device) -> Mesh:
    """Return the mesh of a recipe over the processes that run; all of them have to call this.

    Raises:
        ConfigError: The axes do not multiply to the number of processes.
    """
    return mesh_of(resolve_dims(parallel, world.size), world, device)


def mesh_of(shape: ParallelDims, world: Ranks, device: torch.device) -> Mesh:
    """Return the mesh of so many processes along each axis; all of them have to call this."""
    if world.size == 1:
        return Mesh(shape)
    if not shape.splits:
        return Mesh(shape, world, data=world, replicate=world)
    forget_meshes()  # torch keeps what operations give together with their mesh, and takes an equal one for the same
    whole = init_device_mesh(device.type, tuple(getattr(shape, axis) for axis in AXES), mesh_dim_names=AXES)
    along = {axis: _along(whole, axis) for axis in AXES}
    fsdp = None
    if shape.dp_shard > 1:
        fsdp = whole["dp_replicate", "dp_shard"] if shape.dp_replicate > 1 else whole["dp_shard"]
    mesh = Mesh(
        shape,
        world,
        data=_data(whole, shape, along),
        replicate=along["dp_replicate"],
        shard=along["dp_shard"],
        tensor=along["tp"],
        pipe=along["pp"],
        ends=_ends(whole, shape, along["pp"]),
        fsdp=fsdp,
        slices=whole["tp"] if shape.tp > 1 else None,
    )
    if world.peers is not None:  # torch gives groups of a mesh its own defaults, 10 minutes with NCCL
        for ranks in (mesh.data, *along.values(), mesh.ends):
            if ranks.group is not None:
                set_group_timeout(world.peers.step_timeout, ranks.group)
    return mesh


def _along(mesh: DeviceMesh, axis: str) -> Ranks:
    if mesh[axis].size() == 1:
        return ALONE
    return Ranks(mesh.get_local_rank(axis), mesh[axis].size(), mesh.get_group(axis))


def _data(mesh: DeviceMesh, shape: ParallelDims, along: dict[str, Ranks]) -> Ranks:
    if shape.dp_replicate == 1 or shape.dp_shard == 1:
        return along["dp_shard"] if shape.dp_replicate == 1 else along["dp_replicate"]
    both = mesh["dp_replicate", "dp_shard"]._flatten("dp")
    return Ranks(both.get_local_rank(), both.size(), both.get_group())


def _ends(mesh: DeviceMesh, shape: ParallelDims, pipe: Ranks) -> Ranks:
    """Pair the first with the last stage of every column of the mesh; every process takes part in making the groups."""
    if shape.pp == 1:
        return ALONE
    columns = mesh.mesh.reshape(shape.pp, -1)
    pairs = [[int(columns[0, index]), int(columns[-1, index])] for index in range(columns.shape[1])]
    if shape.pp == 2:
        return pipe
    result = ALONE
    for pair in pairs:
        group = torch.distributed.new_group(pair)
        if mesh.get_rank() in pair:
            result = Ranks(pair.index(mesh.get_rank()), 2, group)
    return result
