"""Docker's SDK for Python: another client of the same API."""

import io
import tarfile

import pytest

from engines import IMAGE

docker_sdk = pytest.importorskip("docker")

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
def client(engine):
    client = docker_sdk.DockerClient(base_url=f"unix://{engine.socket}")
    yield client
    client.close()


def test_run(client):
    assert client.containers.run(IMAGE, ["echo", "hello"], remove=True) == b"hello\n"


def test_errors_have_their_types(client):
    with pytest.raises(docker_sdk.errors.ContainerError) as failure:
        client.containers.run(IMAGE, ["sh", "-c", "exit 4"], remove=True)
    assert failure.value.exit_status == 4
    with pytest.raises(docker_sdk.errors.NotFound):
        client.containers.get("nosuchcontainer")
    with pytest.raises(docker_sdk.errors.ImageNotFound):
        client.images.get("nosuchimage")


def test_a_life(client, name):
    container = client.containers.run(IMAGE, ["sleep", "1000"], name=name(), detach=True, labels={"a": "b"})
    assert container in client.containers.list(filters={"label": "a=b"})
    status, output = container.exec_run(["sh", "-c", "echo out; echo err >&2; exit 3"], demux=True)
    assert (status, output) == (3, (b"out\n", b"err\n"))
    assert container.top()["Processes"]
    assert container.stats(stream=False)["memory_stats"]["usage"] > 0
    container.pause()
    container.reload()
    assert container.status == "paused"
    container.unpause()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        info = tarfile.TarInfo("f")
        info.size = 2
        tar.addfile(info, io.BytesIO(b"ok"))
    assert container.put_archive("/tmp", archive.getvalue())
    stream, stat = container.get_archive("/tmp/f")
    assert stat["name"] == "f" and stat["size"] == 2
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
        assert tar.extractfile("f").read() == b"ok"
    assert {"Path": "/tmp/f", "Kind": 1} in container.diff()
    container.stop(timeout=0)
    assert container.wait()["StatusCode"] == 137
    container.remove()


def test_logs(client, name):
    container = client.containers.run(IMAGE, ["sh", "-c", "echo a; echo b >&2"], name=name(), detach=True)
    container.wait()
    assert container.logs(stderr=False) == b"a\n" and container.logs(stdout=False) == b"b\n"


def test_images_and_volumes(client, volume):
    assert any(IMAGE in image.tags for image in client.images.list())
    data = b"".join(client.images.get(IMAGE).save(named=True))
    assert client.images.load(data)[0].tags
    made = client.volumes.create(volume(), labels={"x": "y"})
    assert made in client.volumes.list(filters={"label": "x=y"})
    made.remove()


def test_system(client):
    assert client.ping() and client.version()["ApiVersion"] and client.info()["OSType"] == "linux"
    assert "Images" in client.df()
