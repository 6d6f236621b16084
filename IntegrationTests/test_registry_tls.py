"""Registries with TLS: authorities of their own, client certificates, and what is not trusted."""

import json
import shutil
import socket
import subprocess

import pytest

import images
from engines import BINARIES, Client, Engine
from registry import DebianRegistry
from test_registry_server import Server

pytestmark = [
    pytest.mark.apusd,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl here"),
]


class Authority:
    """Makes certificates: PEM files `NAME.crt` and `NAME.key` in a directory."""

    def __init__(self, directory, name="authority"):
        self.directory = directory / name
        self.directory.mkdir()
        self.certificate = self.directory / "ca.crt"
        self.openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-days", "1", "-subj",
            f"/CN={name}")

    def openssl(self, *words):
        subprocess.run(["openssl", *words], cwd=self.directory, check=True, capture_output=True)

    def issue(self, name, *addresses):
        kind = "serverAuth" if addresses else "clientAuth"
        extensions = [f"extendedKeyUsage={kind}"]
        if addresses:
            extensions.append("subjectAltName=" + ",".join(f"IP:{it}" for it in addresses))
        (self.directory / "extensions").write_text("\n".join(extensions))
        self.openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", "r", "-subj", f"/CN={name}")
        self.openssl(
            "x509", "-req", "-in", "r", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1", "-out",
            f"{name}.crt", "-extfile", "extensions")
        return self.directory / f"{name}.crt", self.directory / f"{name}.key"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """An authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("tls"), "stranger")


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Apus with a directory for registries' certificates, and an image to push."""
    base = tmp_path_factory.mktemp("certs")
    (base / "registries.conf").write_text("")
    engine = Engine("--certs-dir", str(base / "certs.d"), "--registries-conf", str(base / "registries.conf"))
    try:
        engine.start()
        apus = Client(engine, BINARIES / "apus")
        apus.base = base
        data = images.archive()
        apus("import", "-c", 'CMD ["cat", "/data/seed"]', "-c", "ENV PATH=/bin", "-", "box:1", input=data, text=False)
        yield apus
    finally:
        engine.close()


@pytest.fixture
def trust(client):
    """Sets what is kept for a registry: files by name."""

    def keep(address, **files):
        directory = client.base / "certs.d" / address
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        for name, path in files.items():
            shutil.copy(path, directory / name.replace("_", "."))
        return directory

    yield keep
    shutil.rmtree(client.base / "certs.d", ignore_errors=True)
    (client.base / "registries.conf").write_text("")


def works(client, address):
    """Pushed, pulled by tag and digest, run, and listed."""
    name = f"{address}/team/box:1"
    client("tag", "box:1", name)
    client("push", "-q", name)
    client("rmi", name)
    client("pull", "-q", name)
    assert client.out("run", "--rm", "--network", "none", name) == "from the image"
    digest = json.loads(client.out("image", "inspect", name))[0]["RepoDigests"][0]
    client("rmi", name)
    client("pull", "-q", digest)
    assert "layers" in json.loads(client.out("manifest", "inspect", digest))
    client("rmi", digest)


def refused(client, address, *words):
    """One sentence for each direction."""
    name = f"{address}/team/box:1"
    client("tag", "box:1", name)
    for verb in ("push", "pull"):
        result = client(verb, name, check=False)
        message = result.stderr.strip()
        assert result.returncode == 1 and "\n" not in message and message.startswith("apus: "), message
        for word in words:
            assert word in message, message
        # Said in words, not in the library's.
        assert "SSL" not in message and "Error" not in message, message
    client("rmi", name)


def test_an_authority_of_its_own(client, trust, authority, stranger, tmp_path):
    certificate, key = authority.issue("server", "127.0.0.1")
    with Server(tmp_path, "--tls-cert", certificate, "--tls-key", key) as server:
        trust(server.address, ca_crt=authority.certificate)
        works(client, server.address)
        trust(server.address, ca_crt=stranger.certificate)
        refused(client, server.address, "certificate is not trusted", "ca.crt")
        directory = trust(server.address)
        (directory / "ca.crt").write_text("nothing of the kind")
        refused(client, server.address, f"{directory}/ca.crt holds no PEM certificate")


def test_a_certificate_for_another_name(client, trust, authority, tmp_path):
    certificate, key = authority.issue("other", "127.0.0.9")
    with Server(tmp_path, "--tls-cert", certificate, "--tls-key", key) as server:
        trust(server.address, ca_crt=authority.certificate)
        refused(client, server.address, "for another name")


@pytest.fixture
def address():
    """An address of this host that is not the loopback interface's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: it chooses a route.
            probe.connect(("192.0.2.1", 9))
            return probe.getsockname()[0]
        except OSError:
            pytest.skip("this host has no address but the loopback interface's")


def test_nobody_is_trusted_unless_said(client, trust, authority, address, tmp_path):
    certificate, key = authority.issue("public", address)
    with Server(tmp_path, "--tls-cert", certificate, "--tls-key", key, host=address) as server:
        refused(client, server.address, "certificate is not trusted")
        # Neither does its list take the word of a command that was not told to.
        result = client("manifest", "inspect", f"{server.address}/team/box:1", check=False)
        assert result.returncode == 1 and "certificate is not trusted" in result.stderr
        (client.base / "registries.conf").write_text(f'[[registry]]\nprefix = "{server.address}"\ninsecure = true\n')
        works(client, server.address)


@pytest.mark.parametrize("tls", [True, False])
def test_manifest_commands_may_be_insecure(client, trust, authority, address, tmp_path, tls):
    certificate, key = authority.issue("public", address)
    options = ["--tls-cert", certificate, "--tls-key", key] if tls else []
    own = {"DOCKER_CONFIG": str(tmp_path)}
    with Server(tmp_path, *options, host=address) as server:
        conf = client.base / "registries.conf"
        conf.write_text(f'[[registry]]\nprefix = "{server.address}"\ninsecure = true\n')
        client("tag", "box:1", f"{server.address}/box:1")
        client("push", "-q", f"{server.address}/box:1")
        client("rmi", f"{server.address}/box:1")
        conf.write_text("")
        names = [f"{server.address}/box:all", f"{server.address}/box:1"]
        for verb, *words in (["create", *names], ["push", names[0]], ["inspect", names[1]]):
            result = client("manifest", verb, *words, env=own, check=False)
            assert result.returncode == 1 and server.address in result.stderr
            client("manifest", verb, "--insecure", *words, env=own)
        client("manifest", "rm", names[0], env=own)
        shown = client.out("manifest", "inspect", "--insecure", names[0], env=own)
        assert len(json.loads(shown)["manifests"]) == 1


@pytest.mark.skipif(shutil.which("docker-registry") is None, reason="there is no docker-registry here")
def test_client_certificates(client, trust, authority, stranger):
    server = authority.issue("server", "127.0.0.1")
    mine, key = authority.issue("me")
    other, other_key = stranger.issue("somebody")
    registry = DebianRegistry(tls=[*server, authority.certificate])
    try:
        trust(registry.address, ca_crt=authority.certificate, client_cert=mine, client_key=key)
        works(client, registry.address)
        trust(registry.address, ca_crt=authority.certificate)
        refused(client, registry.address, "demands a client certificate that it trusts")
        trust(registry.address, ca_crt=authority.certificate, client_cert=other, client_key=other_key)
        refused(client, registry.address, "demands a client certificate that it trusts")
        trust(registry.address, ca_crt=stranger.certificate, client_cert=mine, client_key=key)
        refused(client, registry.address, "certificate is not trusted")
        trust(registry.address, ca_crt=authority.certificate, client_cert=mine)
        refused(client, registry.address, "client.cert has no key")
        trust(registry.address, ca_crt=authority.certificate, client_cert=mine, client_key=other_key)
        refused(client, registry.address, "client.key do not belong together")
    finally:
        registry.close()
