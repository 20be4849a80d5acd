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
    with pytest.raises(LostProcessError, match="No checkpoint lies here"), naming_lost_process(path):
        raise RuntimeError(GLOO)
    path.touch()
    with (
        pytest.raises(LostProcessError, match=r"process 0 of 2 lost .*last.safetensors is whole.*--resume") as told,
        naming_lost_process(path),
    ):
        raise RuntimeError(GLOO)
    assert "\n" not in str(told.value)


@pytest.mark.usefixtures("_two_processes")
def test_other_errors_stay_as_they_are():
    with pytest.raises(RuntimeError, match="shapes differ"), naming_lost_process(None):
        raise RuntimeError("shapes differ")


def test_a_process_alone_loses_none():
    with pytest.raises(RuntimeError, match=r"pair\.cc") as told, naming_lost_process(None):
        raise RuntimeError(GLOO)
    assert not isinstance(told.value, LostProcessError)
