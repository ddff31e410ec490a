"""The order in which a pipeline measures micro-batches: no stage waits for what comes later."""

import pytest

from xmtf.training.parallel.pipeline_parallel import forward_order


@pytest.mark.parametrize("stages", [1, 2, 3])
@pytest.mark.parametrize("processes", [2, 3, 4])
@pytest.mark.parametrize("num_micro", [0, 1, 2, 3, 7, 8])
def test_every_stage_receives_what_was_sent_one_place_before(num_micro, processes, stages):
    order = forward_order(num_micro, processes, stages)
    done = [entry for entry in order if entry is not None]
    assert sorted(done) == [(stage, micro) for stage in range(stages) for micro in range(num_micro)]
    places = {
        (stage * processes + rank, micro): place + rank
        for rank in range(processes)
        for place, entry in enumerate(order)
        if entry is not None
        for stage, micro in [entry]
    }
    for (stage, micro), place in places.items():
        assert stage == 0 or places[stage - 1, micro] == place - 1
    idle = len(order) - stages * num_micro
    assert idle < stages * processes, "only a last round is not full"
    assert stages > 1 or idle == 0
