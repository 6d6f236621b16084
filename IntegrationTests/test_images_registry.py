"""Registries: what Apus, docker and skopeo push, each of the others pulls and runs."""

import concurrent.futures
import gzip
import io
import json
import platform
import re
import shutil
import subprocess
import tarfile
import time

import pytest

import images
from engines import BINARIES, IMAGE, Client, DockerEngine
from registry import DebianRegistry, digest

needs_registry = pytest.mark.skipif(
    shutil.which("docker-registry") is None or shutil.which("skopeo") is None,
    reason="there is no docker-registry or skopeo here")
pytestmark = [pytest.mark.apusd, needs_registry]

BOX = 'CMD ["cat", "/data/seed"]'


@pytest.fixture(scope="module")
def debian_registry():
    registry = DebianRegistry()
    yield registry
    registry.close()


@pytest.fixture
def repository(debian_registry, request):
    """The name of a repository that nobody else uses."""
    return f"{debian_registry.address}/t{time.monotonic_ns() % 10**10}/{request.node.name.split('[')[0].lower()}"


@pytest.fixture(scope="module")
def dockerd():
    """Debian's dockerd with the stock command line."""
    if shutil.which("dockerd") is None or shutil.which("docker") is None:
        pytest.skip("there is no dockerd here")
    engine = DockerEngine()
    try:
        engine.start()
        yield Client(engine, shutil.which("docker"))
    finally:
        engine.close()


@pytest.fixture
def other(own_engine):
    """Apus with a store of its own, so that what it has came through a registry."""
    return Client(own_engine, BINARIES / "apus")


def skopeo(*words):
    return subprocess.run(
        ["skopeo", "--insecure-policy", *words], check=True, capture_output=True, text=True, timeout=300).stdout


def image_with(apus, name, text, base=None):
    """An image of one layer, or of one more on a base that is here."""
    info = tarfile.TarInfo("data/text")
    info.size = len(text)
    if base is None:
        data = images.archive([(info, text)])
        apus("import", "-c", 'CMD ["cat", "/data/text"]', "-c", "ENV PATH=/bin", "-", name, input=data, text=False)
        return
    container = apus.out("create", base, "true")
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        tar.addfile(info, io.BytesIO(text))
    apus("cp", "-", f"{container}:/", input=output.getvalue(), text=False)
    apus("commit", "-c", 'CMD ["cat", "/data/text"]', container, name)
    apus("rm", container)


def digest_of(client, name):
    """The digest that an engine knows an image of that repository by."""
    repository = name.rsplit(":", 1)[0]
    digests = json.loads(client.out("image", "inspect", name))[0]["RepoDigests"]
    return next(it for it in digests if it.startswith(repository + "@")).split("@")[1]


class RoundTrip:
    """Each of three pushes one image into a repository of its own; all of them, Apus with another store too, pull that
    by tag and by digest, and what they have pulled is run."""

    plain = ["--src-tls-verify=false", "--dest-tls-verify=false"]

    def __init__(self, registry, repository, apus, dockerd, other, directory):
        self.registry, self.repository, self.directory = registry, repository, directory
        self.apus, self.dockerd, self.other = apus, dockerd, other

    def __call__(self, source, command, expected):
        self.command, self.expected = command, expected
        saved = self.directory / "saved.tar"
        self.apus("save", "-o", str(saved), source, timeout=300)
        self.apus("tag", source, f"{self.repository}-apus:1")
        assert "digest: sha256:" in self.apus.out("push", f"{self.repository}-apus:1", timeout=300)
        self.apus("rmi", f"{self.repository}-apus:1")
        self.dockerd("load", "-i", str(saved), timeout=300)
        self.dockerd("tag", source, f"{self.repository}-docker:1")
        self.dockerd("push", "-q", f"{self.repository}-docker:1", timeout=300)
        self.dockerd("rmi", source, f"{self.repository}-docker:1")
        skopeo("copy", *self.plain, f"oci-archive:{saved}", f"docker://{self.repository}-skopeo:1")
        saved.unlink()
        for pusher in ("apus", "docker", "skopeo"):
            name = f"{self.repository}-{pusher}"
            digest = self.digest(name)
            for client in (self.other, self.dockerd):
                self.pull(client, name, digest)
            self.pull_by_skopeo(name, digest)
            self.pass_through(name, digest)
        # Nothing was changed on its way from Apus.
        assert self.digest(f"{self.repository}-apus") == self.digest(f"{self.repository}-skopeo")

    def digest(self, name, tag="1"):
        return self.registry.manifest(name.split("/", 1)[1], tag)[1]

    def run(self, client, name):
        assert client.out("run", "--rm", "--network", "none", name, *self.command, timeout=300) == self.expected

    def pull(self, client, name, digest):
        for reference in (f"{name}:1", f"{name}@{digest}"):
            client("pull", "-q", reference, timeout=300)
            self.run(client, reference)
            known = json.loads(client.out("image", "inspect", reference))[0]["RepoDigests"]
            assert f"{name}@{digest}" in known
            client("rmi", reference, timeout=300)

    def pull_by_skopeo(self, name, digest):
        """By tag into an OCI archive for Apus, by digest into docker's archive for docker."""
        for source, target, client in [
            (f"{name}:1", "oci-archive", self.other), (f"{name}@{digest}", "docker-archive", self.dockerd)
        ]:
            loaded = f"from-skopeo:{name.rsplit('-', 1)[1]}"
            archive = self.directory / "skopeo.tar"
            skopeo("copy", *self.plain, f"docker://{source}", f"{target}:{archive}:{loaded}")
            client("load", "-i", str(archive), timeout=300)
            archive.unlink()
            self.run(client, loaded)
            client("rmi", loaded, timeout=300)

    def pass_through(self, name, digest):
        """Pulled and pushed again by Apus it is still the same."""
        self.other("pull", "-q", f"{name}:1", timeout=300)
        self.other("tag", f"{name}:1", f"{name}:again")
        self.other("push", "-q", f"{name}:again", timeout=300)
        assert self.digest(name, "again") == digest
        self.other("rmi", f"{name}:1", f"{name}:again")


@pytest.fixture
def round_trip(debian_registry, repository, apus, dockerd, other, tmp_path):
    return RoundTrip(debian_registry, repository, apus, dockerd, other, tmp_path)


def test_round_trip(apus, round_trip, repository):
    image_with(apus, f"{repository}:made", b"through a registry")
    round_trip(f"{repository}:made", [], "through a registry")


@pytest.mark.slow
@pytest.mark.mirror
def test_round_trip_of_debian(round_trip, debian):
    """APUS_TEST_LARGE=1 for an image of 190 MB."""
    round_trip(debian, ["cut", "-d.", "-f1", "/etc/debian_version"], "12")


def test_a_second_image_on_the_same_base_brings_only_its_own_layer(
        apus, other, dockerd, debian_registry, repository):
    image_with(apus, f"{repository}:base", b"base " * 200_000)
    only_its_own_layer(apus, other, dockerd, debian_registry, repository, f"{repository}:base")


@pytest.mark.slow
@pytest.mark.mirror
def test_a_second_image_on_debian_brings_only_its_own_layer(
        apus, other, dockerd, debian_registry, repository, debian):
    only_its_own_layer(apus, other, dockerd, debian_registry, repository, debian)


def only_its_own_layer(apus, other, dockerd, registry, repository, base):
    """What travels, and what is kept, when the base is there already; in bytes."""
    name = repository.split("/", 1)[1]
    image_with(apus, f"{repository}:top", b"top", base=base)
    apus("tag", base, f"{repository}:base")
    apus("push", "-q", f"{repository}:base", timeout=300)
    kept = registry.blobs()
    output = apus.out("push", f"{repository}:top")
    assert output.count("Layer already exists") == 1 and output.count("Pushed") == 1
    data, digest = registry.manifest(name, "top")
    manifest = json.loads(data)
    own = {it["digest"]: it["size"] for it in (manifest["layers"][-1], manifest["config"])}
    added = {key: size for key, size in registry.blobs().items() if key not in kept}
    assert added == {**own, digest: len(data)}
    for client in (other, dockerd):
        client("pull", "-q", f"{repository}:base", timeout=300)
        before, place = stored(client.engine), registry.mark()
        output = client.out("pull", f"{repository}:top")
        assert output.count("Already exists") == 1 and output.count("Pull complete") == 1
        assert registry.blob_downloads(place) == own
        # Its documents, and what a directory or two need.
        grown = stored(client.engine) - before
        print(f"{client.name}: {sum(own.values())} bytes came, {grown} more are kept")
        assert 0 < grown < 256 << 10
        assert client.out("run", "--rm", "--network", "none", f"{repository}:top", "cat", "/data/text") == "top"
        client("rmi", f"{repository}:top", f"{repository}:base", timeout=300)


def stored(engine):
    """Bytes that an engine's images take on the disk."""
    places = ["content", "layers"] if engine.is_apus else ["image", "overlay2", "vfs"]
    paths = [str(engine.root / place) for place in places if (engine.root / place).exists()]
    lines = subprocess.run(["du", "-sk", *paths], capture_output=True, text=True, check=True).stdout.splitlines()
    return sum(int(line.split()[0]) << 10 for line in lines)


def test_several_clients_at_once_cause_one_download(apus, other, debian_registry, repository):
    image_with(apus, f"{repository}:1", bytes(range(256)) * 20_000)
    apus("push", "-q", f"{repository}:1")
    place = debian_registry.mark()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: other("pull", f"{repository}:1"), range(8)))
    assert all(result.returncode == 0 for result in results)
    manifest = json.loads(debian_registry.manifest(repository.split("/", 1)[1], "1")[0])
    layer = manifest["layers"][0]
    assert debian_registry.blob_downloads(place)[layer["digest"]] == layer["size"]


def test_push_says_what_docker_says(cli, apus, repository, engine):
    image_with(apus, f"{repository}:1", b"said")
    output = cli.out("push", f"{repository}:1")
    assert output.startswith(f"The push refers to repository [{repository}]")
    assert re.search(r"\n[0-9a-f]{12}: Pushed", output)
    assert re.search(r"\n1: digest: sha256:[0-9a-f]{64} size: \d+", output)
    assert "Layer already exists" in cli.out("push", f"{repository}:1")
    # Another repository of the same registry gets the layer from the first.
    second = repository + "-second"
    cli("tag", f"{repository}:1", f"{second}:1")
    assert f"Mounted from {repository.split('/', 1)[1]}" in cli.out("push", f"{second}:1")
    # The whole stream, as an SDK reads it.
    answer = engine.request("POST", f"/images/{repository}/push?tag=1", b"", {"X-Registry-Auth": "e30="})
    messages = [json.loads(line) for line in answer.body.splitlines()]
    assert answer.status == 200 and messages[0] == {"status": f"The push refers to repository [{repository}]"}
    layer = next(message for message in messages if "id" in message)
    assert layer["progressDetail"] == {} and layer["status"] == "Preparing"
    aux = messages[-1]["aux"]
    assert aux["Tag"] == "1" and aux["Digest"].startswith("sha256:") and aux["Size"] > 100
    assert digest_of(cli, f"{repository}:1") == aux["Digest"]
    for name in (f"{repository}:1", f"{second}:1"):
        cli("rmi", name)


def test_push_of_what_is_not_here(cli, repository):
    result = cli("push", f"{repository}:none", check=False)
    assert result.returncode == 1
    assert f"An image does not exist locally with the tag: {repository}" in result.stderr + result.stdout
    cli("tag", IMAGE, f"{repository}:here")
    result = cli("push", f"{repository}:none", check=False)
    assert result.returncode == 1 and f"tag does not exist: {repository}:none" in result.stderr + result.stdout
    cli("rmi", f"{repository}:here")
    cli("tag", IMAGE, "localhost:1/none:1")
    result = cli("push", "localhost:1/none:1", check=False)
    assert result.returncode == 1 and "refused" in result.stderr + result.stdout
    cli("rmi", "localhost:1/none:1")


def test_all_tags(cli, apus, other, debian_registry, repository):
    for tag in ("a", "b", "c"):
        image_with(apus, f"{repository}:{tag}", tag.encode())
    output = cli.out("push", "--all-tags", repository)
    for tag in ("a", "b", "c"):
        assert f"{tag}: digest: sha256:" in output
        cli("rmi", f"{repository}:{tag}")
    # A signature or the like beside them is no image, and no reason to get nothing.
    debian_registry.put_artifact(repository.split("/", 1)[1], "artifact")
    output = other.out("pull", "--all-tags", repository)
    assert all(f"{tag}: Pulling from" in output for tag in ("a", "b", "c"))
    assert f"Skipped {repository}:artifact: " in output and "is no container image" in output
    assert sorted(other.out("images", "--format", "{{.Tag}}", repository).split()) == ["a", "b", "c"]
    assert other.out("run", "--rm", f"{repository}:b") == "b"


def layout(directory, texts):
    """An OCI layout with an index of one image for each platform."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(data):
        (blobs / digest(data)[7:]).write_bytes(data)
        return {"digest": digest(data), "size": len(data)}

    manifests = []
    for wanted, text in texts.items():
        system, architecture = wanted.split("/")
        info = tarfile.TarInfo("data/text")
        info.size = len(text)
        archive = images.archive([(info, text)])
        # Compressed, because skopeo compresses what is not.
        layer = gzip.compress(archive, mtime=0)
        config = json.dumps({
            "os": system, "architecture": architecture,
            "config": {"Cmd": ["cat", "/data/text"], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(archive)]},
        }).encode()
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **blob(config)},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", **blob(layer)}],
        }).encode()
        manifests.append({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", **blob(manifest),
            "platform": {"os": system, "architecture": architecture},
        })
    index = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests
    }).encode()
    top = {"mediaType": "application/vnd.oci.image.index.v1+json", **blob(index)}
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [
        {**top, "annotations": {"org.opencontainers.image.ref.name": "all"}}]}))
    return top["digest"]


@pytest.fixture
def several(tmp_path):
    """A layout for two platforms: its directory and the digest of its index."""
    texts = {"linux/amd64": b"for amd64", "linux/arm64": b"for arm64"}
    return tmp_path / "layout", layout(tmp_path / "layout", texts)


def here():
    return "amd64" if platform.machine() == "x86_64" else "arm64"


def test_an_index_keeps_its_digest(apus, other, debian_registry, repository, several, tmp_path):
    directory, wanted = several
    name = repository.split("/", 1)[1]
    skopeo("copy", "--all", "--dest-tls-verify=false", f"oci:{directory}:all", f"docker://{repository}:1")
    assert debian_registry.manifest(name, "1")[1] == wanted
    # Pulled, only this platform's image is here, under the digest of the index; the rest is at the registry.
    apus("pull", "-q", f"{repository}:1")
    assert digest_of(apus, f"{repository}:1") == wanted
    assert apus.out("run", "--rm", f"{repository}:1") == f"for {here()}"
    apus("tag", f"{repository}:1", f"{repository}:2")
    apus("push", "-q", f"{repository}:2")
    assert debian_registry.manifest(name, "2")[1] == wanted
    # Elsewhere the rest is missing: one manifest goes, and that is said.
    lone = repository + "-lone"
    apus("tag", f"{repository}:1", f"{lone}:1")
    result = apus("push", f"{lone}:1")
    assert "Not all multiplatform-content is present" in result.stderr
    kind = json.loads(debian_registry.manifest(lone.split("/", 1)[1], "1")[0])
    assert "layers" in kind
    # Loaded from an archive that has it all, it goes out whole: into an archive, and to a registry.
    whole = tmp_path / "all.tar"
    with tarfile.open(whole, "w") as tar:
        index = json.loads((directory / "index.json").read_text())
        index["manifests"][0]["annotations"]["io.containerd.image.name"] = f"{repository}-whole:1"
        (directory / "index.json").write_text(json.dumps(index))
        for path in sorted(directory.rglob("*")):
            tar.add(path, path.relative_to(directory))
    other("load", "-i", str(whole))
    again = tmp_path / "again.tar"
    other("save", "-o", str(again), f"{repository}-whole:1")
    other("rmi", f"{repository}-whole:1")
    other("load", "-i", str(again))
    assert other.out("run", "--rm", f"{repository}-whole:1") == f"for {here()}"
    other("push", "-q", f"{repository}-whole:1")
    assert debian_registry.manifest(name + "-whole", "1")[1] == wanted
    skopeo("copy", "--all", "--dest-tls-verify=false", f"oci-archive:{again}:1", f"docker://{repository}-copied:1")
    assert debian_registry.manifest(name + "-copied", "1")[1] == wanted


def test_platforms(cli, repository, several):
    directory, _ = several
    skopeo("copy", "--all", "--dest-tls-verify=false", f"oci:{directory}:all", f"docker://{repository}:1")
    foreign = "arm64" if here() == "amd64" else "amd64"
    cli("pull", "-q", "--platform", f"linux/{foreign}", f"{repository}:1")
    assert json.loads(cli.out("image", "inspect", f"{repository}:1"))[0]["Architecture"] == foreign
    result = cli("pull", "--platform", "linux/s390x", f"{repository}:1", check=False)
    assert result.returncode == 1 and "no matching manifest for linux/s390x" in result.stderr
    cli("pull", "-q", f"{repository}:1")
    assert cli.out("run", "--rm", f"{repository}:1") == f"for {here()}"
    cli("rmi", "-f", f"{repository}:1")


def test_manifest_lists(cli, apus, other, debian_registry, repository, several, tmp_path):
    """Docker's own command and ours: the list that is pushed is what each platform pulls."""
    directory, _ = several
    own = {"DOCKER_CONFIG": str(tmp_path / "config")}
    name = repository.split("/", 1)[1]
    for architecture in ("amd64", "arm64"):
        skopeo(
            "copy", f"--override-arch={architecture}", "--dest-tls-verify=false", f"oci:{directory}:all",
            f"docker://{repository}-{architecture}:1")
    # The stock command takes a registry for one without TLS only when told.
    plain = ["--insecure"] if cli.name == "docker" else []
    parts = [f"{repository}-{architecture}:1" for architecture in ("amd64", "arm64")]
    output = cli.out("manifest", "create", *plain, f"{repository}:all", *parts, env=own)
    assert "Created manifest list" in output
    cli("manifest", "annotate", "--variant", "v8", f"{repository}:all", parts[1], env=own)
    entry = json.loads(cli.out("manifest", "inspect", *plain, f"{repository}:all", parts[1], env=own))
    assert "layers" in entry
    output = cli.out("manifest", "push", *plain, f"{repository}:all", env=own).splitlines()
    data, pushed = debian_registry.manifest(name, "all")
    assert output[-1] == pushed
    listed = json.loads(data)["manifests"]
    assert {it["platform"]["architecture"] for it in listed} == {"amd64", "arm64"}
    assert next(it for it in listed if it["platform"]["architecture"] == "arm64")["platform"]["variant"] == "v8"
    other("pull", "-q", f"{repository}:all")
    assert other.out("run", "--rm", f"{repository}:all") == f"for {here()}"
    cli("manifest", "rm", f"{repository}:all", env=own)
    shown = json.loads(cli.out("manifest", "inspect", *plain, f"{repository}:all", env=own))
    assert shown == json.loads(data)


def test_distribution_and_search(apus, engine, repository, several):
    directory, wanted = several
    skopeo("copy", "--all", "--dest-tls-verify=false", f"oci:{directory}:all", f"docker://{repository}:1")
    answer = engine.request("GET", f"/distribution/{repository}:1/json").json
    assert answer["Descriptor"]["digest"] == wanted
    assert {it["architecture"] for it in answer["Platforms"]} == {"amd64", "arm64"}
    registry, name = repository.split("/", 1)
    assert repository in apus.out("search", "--no-trunc", f"{registry}/{name}", "--format", "{{.Name}}").split()
    assert engine.request("GET", f"/distribution/{repository}:none/json").status == 404
