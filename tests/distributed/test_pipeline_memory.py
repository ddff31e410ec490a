"""What pipeline stages hold after a step: nothing that they received."""

import pytest
from tiny_training import make_loop


def bytes_received(ranks, folder, layout):
    """Train two steps; return the bytes that stages still hold of what they received in the last."""
    loop = make_loop(ranks, folder, "bloom", layout)
    for step in range(2):
        loop.step(step, loop.feed.get(step))
    loop.feed.close()
    schedule = loop.step.objective._schedule
    stages = schedule._stages if hasattr(schedule, "_stages") else [schedule._stage]
    infos = [
        info
        for stage in stages
        for received in (stage.args_recv_info, stage.grad_recv_info)
        for chunk in received.values()
        for info in chunk
        if info.buffer is not None
    ]
    assert len(infos) >= loop.feed.num_micro  # torch has one for each micro-batch of the step
    return sum(info.buffer.nbytes for info in infos if info.buffer.device.type != "meta")


@pytest.mark.parametrize("layout", ["PP x2", "interleaved PP x2"])
def test_no_memory_is_kept_for_each_micro_batch_of_a_step(processes, tmp_path, layout):
    assert processes(2, bytes_received, tmp_path, layout) == [0, 0]
