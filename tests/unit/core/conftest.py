"""Storages behind addresses."""

import fsspec
import pytest

from xmtf.remote.copies import forget


@pytest.fixture(params=["memory", "file", "s3"])
def address(request, tmp_path, monkeypatch):
    """Give the address of a folder that is not there yet, in memory, behind file:// and in S3 on loopback."""
    monkeypatch.setenv("XMTF_CACHE", str(tmp_path / "cache"))
    forget()
    if request.param == "memory":
        fsspec.filesystem("memory").store.clear()
        yield "memory://bucket/demo"
    elif request.param == "file":
        yield f"file://{tmp_path}/storage/demo"
    else:
        s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed: pip install s3fs 'moto[server]'")
        server = pytest.importorskip("moto.server", reason="moto is not installed: pip install s3fs 'moto[server]'")
        running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
        running.start()
        host, port = running.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-of-a-user")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-a-user")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem.clear_instance_cache()
        bucket = f"bucket-{port}"
        s3fs.S3FileSystem(skip_instance_cache=True).mkdir(bucket)
        yield f"s3://{bucket}/demo"
        running.stop()
