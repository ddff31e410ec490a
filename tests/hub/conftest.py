"""The local hub, in place of the real one for the libraries of this process and of those that it starts."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from tests.hub.server import HubServer


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty hub, with caches of its own for its clients; waits between attempts take no time."""
    with served(tmp_path, monkeypatch) as server:
        yield server


@contextmanager
def served(folder, monkeypatch):
    """Yield the hub of :func:`hub`; its clients' caches lie in a folder."""
    import datasets
    import huggingface_hub
    from huggingface_hub import constants

    server = HubServer()
    cache = folder / "hf"
    for name, value in {"HF_ENDPOINT": server.url, "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1"}.items():
        monkeypatch.setenv(name, value)
    for name in ("HF_TOKEN", "XMTF_DATA_ROOT", "XMTF_HUB_STREAM", "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    template = f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    for name, value in {
        "ENDPOINT": server.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": template,
        "HF_HUB_CACHE": str(cache / "hub"),
        "HF_TOKEN_PATH": str(cache / "token"),
        "HF_HUB_DISABLE_XET": True,
    }.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", server.url)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache / "datasets")
    server.waits = []
    for module in ("xmtf.sources.hub.client", "xmtf.sources.hub.download"):
        monkeypatch.setattr(f"{module}.time", SimpleNamespace(sleep=server.waits.append))
    datasets.disable_progress_bars()
    huggingface_hub.utils.disable_progress_bars()
    yield server
    huggingface_hub.utils.close_session()
    huggingface_hub.HfFileSystem.clear_instance_cache()
    server.close()
