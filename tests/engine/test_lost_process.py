import os
import signal

import pytest
import torch.distributed as dist

from gmconv_zoo.engine.lost_process import LostProcessError, naming_lost_process

GLOO = "[../third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:1234\nmore"


@pytest.fixture
def _two_processes(monkeypatch):
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "get_rank", lambda: 0)


@pytest.mark.usefixtures("_two_processes")
def test_broken_connection_names_the_checkpoint_to_go_on_from(tmp_path):
    path = tmp_path / "last.safetensors"
    with pytest.raises(LostProcessError, match="No checkpoint has been saved"), naming_lost_process(path):
        raise RuntimeError(GLOO)
    path.touch()
    with (
        pytest.raises(LostProcessError, match=r"process 0 of 2 lost .*last.safetensors is saved.*--resume") as told,
        naming_lost_process(path),
    ):
        raise RuntimeError(GLOO)
    assert "\n" not in str(told.value)


@pytest.fixture
def _sigterm():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("_two_processes", "_sigterm")
def test_process_that_is_told_to_end_says_why(tmp_path):
    path = tmp_path / "last.safetensors"
    path.touch()
    with (
        pytest.raises(LostProcessError, match=r"lost another process.*is saved: .*The launcher ends this process too"),
        naming_lost_process(path),
    ):
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.usefixtures("_two_processes", "_sigterm")
def test_process_that_fails_is_left_the_time_to_say_why():
    with pytest.raises(LostProcessError, match="The connection says"), naming_lost_process(None):
        raise RuntimeError(GLOO)
    signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.usefixtures("_two_processes", "_sigterm")
def test_signal_s_handler_is_put_back_and_loaders_processes_end_as_ever():
    before = signal.getsignal(signal.SIGTERM)
    with naming_lost_process(None):
        child = os.fork()
        if not child:
            signal.raise_signal(signal.SIGTERM)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.usefixtures("_two_processes")
def test_other_errors_stay_as_they_are():
    with pytest.raises(RuntimeError, match="shapes differ"), naming_lost_process(None):
        raise RuntimeError("shapes differ")


def test_a_process_alone_loses_none():
    with pytest.raises(RuntimeError, match=r"pair\.cc") as told, naming_lost_process(None):
        raise RuntimeError(GLOO)
    assert not isinstance(told.value, LostProcessError)
