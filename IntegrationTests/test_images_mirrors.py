"""registries.conf: mirrors, other locations, and what is blocked, as the daemon reads it."""

import json

import pytest

from engines import BINARIES, Client, Engine
from registry import Registry

pytestmark = pytest.mark.apusd


@pytest.fixture(scope="module")
def conf(tmp_path_factory):
    return tmp_path_factory.mktemp("conf") / "registries.conf"


@pytest.fixture(scope="module")
def client(conf):
    """Apus with a configuration that each test writes; it is read for each operation."""
    conf.write_text("")
    engine = Engine("--registries-conf", str(conf))
    try:
        engine.start()
        yield Client(engine, BINARIES / "apus")
    finally:
        engine.close()


@pytest.fixture
def mirror():
    registry = Registry("mirrored/team/box")
    yield registry
    registry.close()


@pytest.fixture
def empty():
    registry = Registry("nothing/else")
    yield registry
    registry.close()


def table(prefix, *lines, mirrors=()):
    text = f'[[registry]]\nprefix = "{prefix}"\n' + "".join(f"{line}\n" for line in lines)
    return text + "".join("[[registry.mirror]]\n" + "".join(f"{line}\n" for line in mirror) for mirror in mirrors)


NAME = "registry.invalid/team/box"


def test_mirrors_are_asked_in_order(client, conf, mirror, empty):
    places = ["127.0.0.1:1", empty.address, f"{mirror.address}/mirrored"]
    conf.write_text(table("registry.invalid", mirrors=[[f'location = "{place}"'] for place in places]))
    client("pull", "-q", f"{NAME}:1")
    assert any("/v2/team/box/manifests/1" in path for path in empty.requests)
    # It is known by the name that was asked for, and by nothing of the mirror's.
    known = json.loads(client.out("image", "inspect", f"{NAME}:1"))[0]
    assert known["RepoTags"] == [f"{NAME}:1"]
    assert [it.split("@")[0] for it in known["RepoDigests"]] == [NAME]
    assert client.out("run", "--rm", "--network", "none", f"{NAME}:1") == "pulled"
    # What is pushed goes to the registry, which nobody has heard of.
    result = client("push", f"{NAME}:1", check=False)
    assert result.returncode == 1 and "registry.invalid" in result.stderr and "does not resolve" in result.stderr
    client("rmi", "-f", f"{NAME}:1")


def test_docker_hub_has_mirrors_too(client, conf, mirror):
    conf.write_text(table("docker.io", mirrors=[[f'location = "{mirror.address}/mirrored"']]))
    client("pull", "-q", "team/box:1")
    client("rmi", "-f", "team/box:1")


def test_mirrors_for_digests_alone(client, conf, mirror):
    conf.write_text(
        table(
            "registry.invalid", mirrors=[[f'location = "{mirror.address}/mirrored"', 'pull-from-mirror = "digest-only"']]))
    result = client("pull", f"{NAME}:1", check=False)
    assert result.returncode == 1 and not mirror.requests
    client("pull", "-q", f"{NAME}@{mirror.manifest_digest}")
    client("rmi", "-f", f"{NAME}@{mirror.manifest_digest}")


def test_another_location(client, conf, mirror):
    conf.write_text(table("registry.invalid/team", f'location = "{mirror.address}/mirrored/team"', "insecure = true"))
    client("pull", "-q", f"{NAME}:1")
    client("rmi", "-f", f"{NAME}:1")
    # The longest prefix decides.
    conf.write_text(conf.read_text() + table("registry.invalid/team/box", "blocked = true"))
    for verb in ("pull", "run"):
        result = client(verb, f"{NAME}:1", check=False)
        assert result.returncode != 0 and "is blocked: registries.conf says so" in result.stderr


@pytest.mark.parametrize("text, words", [
    ("[[registry", "line 1"), ('[registries.search]\nregistries = ["x"]\n', "version 1"),
])
def test_what_is_wrong_with_the_file_is_said(client, conf, mirror, text, words):
    conf.write_text(text)
    result = client("pull", f"{mirror.address}/mirrored/team/box:1", check=False)
    message = result.stderr.strip()
    assert result.returncode == 1 and str(conf) in message and words in message and "\n" not in message, message
