"""What images take and what is given back: system df, image prune, filters; and accounts at registries."""

import base64
import json
import os
import stat
import tarfile
import time
from urllib.parse import quote

import pytest

import images
from engines import BINARIES, Client
from registry import Registry

pytestmark = pytest.mark.apusd


@pytest.fixture
def fresh(own_engine):
    """Apus with a store of its own."""
    return Client(own_engine, BINARIES / "apus")


def on_disk(engine):
    paths = [path for base in ("content", "layers") for path in (engine.root / base).rglob("*")]
    return sum(path.stat().st_size for path in paths if path.is_file())


def make(client, name, text, *changes):
    info = tarfile.TarInfo("data/text")
    info.size = len(text)
    words = [word for change in changes for word in ("-c", change)]
    client("import", "-c", "ENV PATH=/bin", *words, "-", *([name] if name else []),
           input=images.archive([(info, text)]), text=False)


def test_df_tells_what_is_on_the_disk(fresh, docker):
    engine = fresh.engine
    make(fresh, "a:1", b"a" * 100_000)
    make(fresh, "b:1", os.urandom(300_000))
    fresh("create", "--name", "user", "b:1", "true")
    usage = engine.request("GET", "/system/df").json
    assert usage["LayersSize"] == on_disk(engine)
    sizes = {it["RepoTags"][0]: it for it in usage["Images"]}
    assert sizes["b:1"]["Containers"] == 1 and sizes["a:1"]["Containers"] == 0
    assert usage["LayersSize"] == sum(it["Size"] for it in usage["Images"])
    # b:1 and the image that every engine of the tests has share nothing: what is unused can be had.
    unused = sum(it["Size"] for name, it in sizes.items() if name != "b:1")
    assert usage["ImageUsage"]["Reclaimable"] == unused
    before = on_disk(engine)
    fresh("image", "prune", "-af")
    assert before - on_disk(engine) == unused
    # Both command lines show it.
    stock = Client(engine, docker.program)
    for client in (fresh, stock):
        lines = client.out("system", "df").splitlines()
        assert lines[0].split() == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]
        row = next(line for line in lines if line.startswith("Images")).split()
        assert row[1:3] == ["1", "1"] and row[4] == "0B"
        text = client.out("system", "df", "-v")
        assert "SHARED SIZE" in text and "UNIQUE SIZE" in text and "LOCAL VOLUMES" in text


def test_prune_filters(fresh):
    for number, label in enumerate(["keep=yes", "keep=no"]):
        make(fresh, f"p{number}:1", label.encode(), f"LABEL {label}")
    fresh("image", "prune", "-af", "--filter", "until=1h")
    assert fresh.out("images", "-q", "p0:1") and fresh.out("images", "-q", "p1:1")
    fresh("image", "prune", "-af", "--filter", "label=keep=no")
    assert fresh.out("images", "-q", "p0:1") and not fresh.out("images", "-q", "p1:1")
    fresh("image", "prune", "-af", "--filter", "label!=keep")
    assert fresh.out("images", "-q", "p0:1") and not fresh.out("images", "-q", "busybox:test")
    fresh("image", "prune", "-f")
    assert fresh.out("images", "-q", "p0:1")
    make(fresh, "p0:1", b"another")
    assert fresh.out("images", "-q", "--filter", "dangling=true")
    assert "Total reclaimed space: " in fresh.out("image", "prune", "-f")
    assert not fresh.out("images", "-q", "--filter", "dangling=true")


def test_images_filters(cli, engine):
    repository = f"f{time.monotonic_ns() % 10**10}"
    names = [f"{repository}:{number}" for number in range(2)]
    for number, name in enumerate(names):
        answer = engine.request(
            "POST", f"/images/create?fromSrc=-&repo={repository}&tag={number}&changes="
            + quote(f"LABEL number={number}"), images.archive(), {"Content-Type": "application/x-tar"})
        assert answer.status == 200
        time.sleep(0.01)

    def found(*filters):
        words = [word for text in filters for word in ("--filter", text)]
        shown = cli.out("images", *words, "--format", "{{.Repository}}:{{.Tag}}").split()
        return [name for name in names if name in shown]

    assert found("label=number=1") == [names[1]]
    assert found(f"reference={repository}") == names
    assert found(f"before={names[1]}") == [names[0]]
    assert found(f"since={names[0]}") == [names[1]]
    assert found("dangling=true") == []
    for name in names:
        cli("rmi", name)


HELPER = """#!/bin/sh
# A credential helper that keeps everything in one directory.
read -r input
case $1 in
  store) printf '%s' "$input" > "$STORE/kept"; echo "store" >> "$STORE/calls" ;;
  get)
    echo "get $input" >> "$STORE/calls"
    if [ -e "$STORE/kept" ] && grep -q "$input" "$STORE/kept"; then cat "$STORE/kept"
    else echo "credentials not found in native keychain"; exit 1; fi ;;
  erase) echo "erase $input" >> "$STORE/calls"; rm -f "$STORE/kept" ;;
esac
"""


def test_login_asks_the_registry(cli, tmp_path):
    registry = Registry(password="secret")
    own = {"DOCKER_CONFIG": str(tmp_path)}
    try:
        result = cli("login", "-u", "user", "--password-stdin", registry.address, input="wrong\n", env=own, check=False)
        assert result.returncode == 1 and not (tmp_path / "config.json").exists()
        result = cli("login", "-u", "user", "--password-stdin", registry.address, input="secret\n", env=own)
        assert "Login Succeeded" in result.stdout
        kept = json.loads((tmp_path / "config.json").read_text())["auths"][registry.address]["auth"]
        assert base64.b64decode(kept) == b"user:secret"
        assert stat.S_IMODE((tmp_path / "config.json").stat().st_mode) == 0o600
        assert "Login Succeeded" in cli("login", registry.address, env=own).stdout
        result = cli("logout", registry.address, env=own)
        assert f"Removing login credentials for {registry.address}" in result.stdout
        assert registry.address not in (tmp_path / "config.json").read_text()
    finally:
        registry.close()


@pytest.mark.parametrize("key", ["credsStore", "credHelpers"])
def test_credential_helpers(cli, tmp_path, key):
    registry = Registry(password="secret")
    programs, kept, config = tmp_path / "bin", tmp_path / "kept", tmp_path / "config"
    for path in (programs, kept, config):
        path.mkdir()
    helper = programs / "docker-credential-test"
    helper.write_text(HELPER)
    helper.chmod(0o755)
    value = "test" if key == "credsStore" else {registry.address: "test"}
    (config / "config.json").write_text(json.dumps({key: value, "other": {"kept": 1}}))
    own = {
        "DOCKER_CONFIG": str(config), "PATH": f"{programs}:{os.environ['PATH']}", "STORE": str(kept),
    }
    name = f"{registry.address}/team/box:1"
    try:
        cli("login", "-u", "user", "--password-stdin", registry.address, input="secret\n", env=own)
        assert json.loads((kept / "kept").read_text())["Secret"] == "secret"
        assert "secret" not in (config / "config.json").read_text()
        if cli.name == "apus":
            # Docker drops what it does not know.
            assert json.loads((config / "config.json").read_text())["other"] == {"kept": 1}
        cli("pull", "-q", name, env=own)
        assert f"get {registry.address}" in (kept / "calls").read_text()
        cli("logout", registry.address, env=own)
        assert not (kept / "kept").exists()
        cli("rmi", name)
        assert cli("pull", name, env=own, check=False).returncode == 1
    finally:
        registry.close()
