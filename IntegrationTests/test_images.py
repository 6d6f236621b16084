"""Images: import, save, load, tag, remove, history, inspect, pull, bootstrap."""

import gzip
import hashlib
import io
import json
import tarfile
import time

import pytest

import images
from engines import IMAGE
from registry import Registry

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
def reference(engine):
    """Makes names of images, and removes them when the test ends."""
    made = []

    def make(tag="1"):
        made.append(f"img{time.monotonic_ns() % 10**10}:{tag}")
        return made[-1]

    yield make
    for name in made:
        engine.request("DELETE", f"/images/{name}?force=1")


@pytest.fixture
def registry(request, engine):
    registry = Registry(**getattr(request, "param", {}))
    yield registry
    registry.close()
    for name in (f"{registry.address}/team/box:1", f"{registry.address}/team/box@{registry.manifest_digest}"):
        engine.request("DELETE", f"/images/{name}?force=1")


def test_list(cli):
    assert IMAGE in cli.out("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    table = cli.out("images", "busybox").splitlines()
    assert table[0].split()[0] == "REPOSITORY" and table[1].split()[:2] == ["busybox", "test"]
    short = cli.out("images", "-q", IMAGE)
    assert cli.out("images", "-q", "--no-trunc", IMAGE).startswith(f"sha256:{short}")
    assert cli.out("images", "-q", "--filter", "reference=nosuch*") == ""
    assert json.loads(cli.out("images", "--format", "{{json .}}", IMAGE))["Repository"] == "busybox"


def test_import_with_changes(cli, reference, tmp_path):
    chosen = reference()
    file = tmp_path / "root.tar"
    file.write_bytes(images.archive())
    identifier = cli.out(
        "import", "-c", 'CMD ["echo", "imported"]', "-c", "ENV PATH=/bin A=b", "-c", "USER app", "-c", "WORKDIR /tmp",
        "-m", "a note", str(file), chosen)
    assert identifier.startswith("sha256:")
    assert cli.out("run", "--rm", chosen) == "imported"
    assert cli.out("run", "--rm", chosen, "sh", "-c", "id -u; pwd; echo $A").split() == ["1000", "/tmp", "b"]


def test_import_from_a_pipe_gzipped(cli, reference):
    chosen = reference()
    cli("import", "-c", "ENV PATH=/bin", "-", chosen, input=gzip.compress(images.archive()), text=False)
    assert cli.out("run", "--rm", chosen, "echo", "ok") == "ok"


def test_import_of_what_is_no_archive(cli, reference):
    result = cli("import", "-", reference(), input="not a tar" * 200, check=False)
    assert result.returncode == 1 and result.stderr


def test_tag_and_remove(cli, reference):
    first, second = reference(), reference("2")
    cli("tag", IMAGE, first)
    cli("tag", first, second)
    assert cli.out("images", "-q", first) == cli.out("images", "-q", IMAGE)
    assert f"Untagged: {first}" in cli.out("rmi", first)
    assert cli.out("images", "-q", first) == ""
    assert cli.out("run", "--rm", second, "echo", "still") == "still"


def test_an_image_in_use_is_kept(cli, reference, name, tmp_path):
    chosen, container = reference(), name()
    cli("import", "-c", "ENV PATH=/bin", "-", chosen, input=images.archive([unique()]), text=False)
    cli("create", "--name", container, chosen, "true")
    result = cli("rmi", chosen, check=False)
    assert result.returncode == 1 and "is using" in result.stderr or "being used" in result.stderr
    cli("rm", container)
    assert "Deleted: sha256:" in cli.out("rmi", chosen)


def unique():
    """An entry that makes a layer unlike any other."""
    data = str(time.monotonic_ns()).encode()
    info = tarfile.TarInfo("etc/unique")
    info.size = len(data)
    return info, data


def test_save_and_load(cli, reference, tmp_path):
    chosen = reference()
    cli("import", "-c", 'CMD ["echo", "saved"]', "-c", "ENV PATH=/bin", "-", chosen,
        input=images.archive([unique()]), text=False)
    identifier = cli.out("inspect", "-f", "{{.Id}}", chosen)
    file = tmp_path / "saved.tar"
    cli("save", "-o", str(file), chosen)
    with tarfile.open(file) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))
        assert manifest[0]["RepoTags"] == [chosen]
        for path in manifest[0]["Layers"]:
            assert tar.getmember(path).size > 0
    cli("rmi", chosen)
    assert f"Loaded image: {chosen}" in cli.out("load", "-i", str(file))
    assert cli.out("inspect", "-f", "{{.Id}}", chosen) == identifier
    assert cli.out("run", "--rm", chosen) == "saved"


def test_save_to_a_pipe_and_load_from_one(cli, reference):
    chosen = reference()
    cli("tag", IMAGE, chosen)
    data = cli("save", chosen, text=False).stdout
    assert chosen.encode() in cli("load", input=data, text=False).stdout


@pytest.mark.apusd
def test_saved_images_are_oci_layouts_too(apus, reference):
    data = apus("save", IMAGE, text=False).stdout
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert json.load(tar.extractfile("oci-layout"))["imageLayoutVersion"] == "1.0.0"
        index = json.load(tar.extractfile("index.json"))
        digest = index["manifests"][0]["digest"].split(":")[1]
        manifest = tar.extractfile(f"blobs/sha256/{digest}").read()
        assert hashlib.sha256(manifest).hexdigest() == digest


@pytest.mark.apusd
def test_load_of_a_bare_oci_layout(apus, reference, registry):
    """What buildah and skopeo write: a layout without Docker's manifest.json."""
    files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}
    for digest, data in registry.blobs.items():
        files[f"blobs/sha256/{digest[7:]}"] = data
    kind, manifest = registry.manifests[registry.manifest_digest]
    files[f"blobs/sha256/{registry.manifest_digest[7:]}"] = manifest
    chosen = reference()
    files["index.json"] = json.dumps({
        "schemaVersion": 2,
        "manifests": [{
            "mediaType": kind, "digest": registry.manifest_digest, "size": len(manifest),
            "annotations": {"io.containerd.image.name": f"docker.io/library/{chosen}",
                            "org.opencontainers.image.ref.name": "1"},
        }],
    }).encode()
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        for path, data in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    assert "Loaded image" in apus("load", input=output.getvalue(), text=False).stdout.decode()
    assert apus.out("run", "--rm", chosen) == "pulled"


def test_a_damaged_archive_is_refused(cli):
    result = cli("load", input=b"\0" * 5000 + b"x" * 5000, check=False, text=False)
    assert result.returncode == 1 and result.stderr


def test_history_and_inspect(cli):
    rows = cli.out("history", "--no-trunc", "--format", "{{.ID}} {{.Size}}", IMAGE).splitlines()
    assert len(rows) >= 1
    description = json.loads(cli.out("image", "inspect", IMAGE))[0]
    assert description["RepoTags"] and IMAGE in description["RepoTags"]
    assert description["Config"]["Cmd"] == ["sh"] and description["Os"] == "linux"
    assert len(description["RootFS"]["Layers"]) == 1


@pytest.mark.parametrize("registry", [{}, {"compress": lambda data: data}], indirect=True, ids=["gzip", "plain"])
def test_pull(cli, registry):
    name = f"{registry.address}/team/box:1"
    output = cli.out("pull", name)
    assert "Pull complete" in output and "Downloaded newer image" in output
    assert cli.out("run", "--rm", name) == "pulled"
    before = len(registry.requests)
    assert "Image is up to date" in cli.out("pull", name)
    assert not any("/blobs/" in path for path in registry.requests[before:])


def test_pull_by_digest(cli, registry):
    name = f"{registry.address}/team/box@{registry.manifest_digest}"
    cli("pull", name)
    assert cli.out("run", "--rm", name) == "pulled"


def test_run_pulls_what_is_missing(cli, registry):
    name = f"{registry.address}/team/box:1"
    result = cli("run", "--rm", name)
    assert result.stdout == "pulled\n"
    assert cli("run", "--rm", "--pull", "never", name).stdout == "pulled\n"


@pytest.mark.parametrize("registry", [{"password": "secret"}], indirect=True)
def test_pull_with_a_password(cli, registry, tmp_path):
    name = f"{registry.address}/team/box:1"
    own = {"DOCKER_CONFIG": str(tmp_path)}
    assert cli("pull", name, check=False, env=own).returncode == 1
    cli("login", "-u", "user", "--password-stdin", registry.address, input="secret\n", env=own)
    cli("pull", name, env=own)
    assert cli.out("run", "--rm", name) == "pulled"


def test_pull_of_what_is_not_there(cli, registry):
    result = cli("pull", f"{registry.address}/team/box:none", check=False)
    assert result.returncode == 1 and "not found" in result.stderr or "unknown" in result.stderr
    result = cli("pull", "localhost:1/none", check=False)
    assert result.returncode == 1 and "refused" in result.stderr


@pytest.mark.apusd
def test_a_layer_with_a_wrong_digest_is_refused(apus, registry, engine):
    for key, data in registry.blobs.items():
        if len(data) > 100_000:
            registry.blobs[key] = data[:-100] + bytes(100)
    result = apus("pull", f"{registry.address}/team/box:1", check=False)
    assert result.returncode == 1 and result.stderr
    assert engine.request("GET", f"/images/{registry.address}/team/box:1/json").status == 404


def test_prune(cli, reference, engine):
    chosen = reference()
    cli("import", "-", chosen, input=images.archive([unique()]), text=False)
    identifier = cli.out("inspect", "-f", "{{.Id}}", chosen)
    cli("import", "-", chosen, input=images.archive([unique()]), text=False)
    assert identifier in cli.out("images", "-q", "--no-trunc", "--filter", "dangling=true")
    assert "Total reclaimed space" in cli.out("image", "prune", "-f")
    assert engine.request("GET", f"/images/{identifier}/json").status == 404


def test_layers_are_shared_and_let_go(cli, reference, engine, name):
    """Removing one of two images with the same layer leaves the other whole."""
    first, second = reference(), reference("2")
    data = images.archive([unique()])
    cli("import", "-c", "ENV PATH=/bin", "-c", "LABEL n=1", "-", first, input=data, text=False)
    cli("import", "-c", "ENV PATH=/bin", "-c", "LABEL n=2", "-", second, input=data, text=False)
    cli("rmi", first)
    assert cli.out("run", "--rm", second, "cat", "/data/seed") == "from the image"


@pytest.mark.apusd
@pytest.mark.mirror
@pytest.mark.slow
def test_bootstrap(apus, debian):
    assert apus.out("run", "--rm", debian, "cat", "/etc/debian_version").startswith("12")
    output = apus.out("run", "--rm", debian, "bash", "-c", "echo $BASH_VERSION; id -un; dpkg -l | wc -l").split()
    assert output[1] == "root" and int(output[2]) > 50
