import os
import signal
import threading

import pytest

from xmtf.training.loop.stop import Stopped, Stopper, mark_stop, refuse_restart, stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_to_stop_and_handlers_are_put_back(tmp_path, number):
    before = signal.getsignal(number)
    stopper = Stopper(tmp_path / "stop")
    with stop_on_signals(stopper):
        assert stopper.check(0.1) is None
        os.kill(os.getpid(), number)
        assert stopper.check(0.1) == f"{signal.Signals(number).name} was received"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(number) is before


def test_the_kill_switch_stops_once(tmp_path):
    (tmp_path / "stop").touch()
    assert "stop" in Stopper(tmp_path / "stop").check(0.1)
    assert not (tmp_path / "stop").exists()
    assert Stopper(tmp_path / "stop").check(0.1) is None


def test_the_limit_leaves_room_for_two_of_the_slowest_steps(tmp_path):
    stopper = Stopper(tmp_path / "stop", limit_s=1000)
    assert stopper.check(400) is None
    assert "wall_clock_limit" in stopper.check(510)


def test_the_limit_leaves_room_for_checkpoints_that_are_written_aside(tmp_path):
    stopper = Stopper(tmp_path / "stop", limit_s=1000)
    assert stopper.check(100, 300) is None
    assert "wall_clock_limit" in stopper.check(100, 410)


def test_other_threads_leave_signals_alone(tmp_path):
    def inside():
        with stop_on_signals(Stopper(tmp_path / "stop")):
            pass

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()


def test_training_that_was_asked_to_stop_is_not_started_again_by_torchrun(tmp_path, monkeypatch):
    for name, value in {"RUN_ID": "one", "MAX_RESTARTS": "3", "RESTART_COUNT": "0"}.items():
        monkeypatch.setenv(f"TORCHELASTIC_{name}", value)
    refuse_restart(tmp_path)
    mark_stop(tmp_path)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    with pytest.raises(Stopped, match="is not started again"):
        refuse_restart(tmp_path)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "another")  # an old mark says nothing of another launch
    refuse_restart(tmp_path)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "one")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")  # the same command, given again
    refuse_restart(tmp_path)
    assert not (tmp_path / ".stopped").exists()
