"""cp, diff, export, commit."""

import io
import os
import tarfile

import pytest

from engines import IMAGE

pytestmark = pytest.mark.usefixtures("no_leaks")


def test_copy_out_and_in(cli, sleeper, tmp_path):
    (tmp_path / "f").write_text("content")
    os.chmod(tmp_path / "f", 0o640)
    cli("cp", str(tmp_path / "f"), f"{sleeper}:/tmp/copied")
    assert cli.out("exec", sleeper, "sh", "-c", "cat /tmp/copied; stat -c ' %a' /tmp/copied") == "content 640"
    cli("cp", f"{sleeper}:/tmp/copied", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "content"


def test_copy_of_a_tree(cli, sleeper, tmp_path):
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub/f").write_text("deep")
    os.symlink("sub/f", tree / "link")
    cli("cp", str(tree), f"{sleeper}:/tmp")
    assert cli.out("exec", sleeper, "sh", "-c", "cat /tmp/tree/link; readlink /tmp/tree/link") == "deepsub/f"
    cli("cp", f"{tree}/.", f"{sleeper}:/tmp/content")  # a directory that is not there takes the content
    assert cli.out("exec", sleeper, "cat", "/tmp/content/sub/f") == "deep"
    cli("cp", f"{sleeper}:/tmp/tree", str(tmp_path / "new"))
    assert (tmp_path / "new/sub/f").read_text() == "deep" and os.readlink(tmp_path / "new/link") == "sub/f"
    (tmp_path / "existing").mkdir()
    cli("cp", f"{sleeper}:/tmp/tree/.", str(tmp_path / "existing"))
    assert (tmp_path / "existing/sub/f").read_text() == "deep"


def test_copy_to_a_stopped_container(cli, name, tmp_path):
    chosen = name()
    cli("create", "--name", chosen, IMAGE, "cat", "/tmp/f")
    (tmp_path / "f").write_text("early")
    cli("cp", str(tmp_path / "f"), f"{chosen}:/tmp/f")
    assert cli.out("start", "-a", chosen) == "early"
    cli("cp", f"{chosen}:/tmp/f", str(tmp_path / "again"))
    assert (tmp_path / "again").read_text() == "early"


def test_copy_reaches_mounts(cli, name, volume, tmp_path):
    chosen = name()
    cli("run", "-d", "--name", chosen, "-v", f"{volume()}:/vol", "--tmpfs", "/t", IMAGE, "sleep", "100")
    (tmp_path / "f").write_text("x")
    cli("cp", str(tmp_path / "f"), f"{chosen}:/vol/f")
    assert cli.out("exec", chosen, "cat", "/vol/f") == "x"


def test_archives_through_pipes(cli, sleeper):
    cli("exec", sleeper, "sh", "-c", "mkdir /tmp/d && echo x > /tmp/d/f")
    data = cli("cp", f"{sleeper}:/tmp/d", "-", text=False).stdout
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert {name.rstrip("/") for name in tar.getnames()} == {"d", "d/f"}
    cli("exec", sleeper, "mkdir", "/tmp/e")
    cli("cp", "-", f"{sleeper}:/tmp/e", input=data, text=False)
    assert cli.out("exec", sleeper, "cat", "/tmp/e/d/f") == "x"


def test_copy_of_what_is_not_there(cli, sleeper, tmp_path):
    result = cli("cp", f"{sleeper}:/no/such", str(tmp_path), check=False)
    assert result.returncode == 1 and "/no/such" in result.stderr
    result = cli("cp", str(tmp_path / "none"), f"{sleeper}:/tmp", check=False)
    assert result.returncode == 1


def test_copy_follows_links_inside_the_container_only(cli, sleeper, tmp_path):
    """A link that leads out of the container leads to a place inside it (CVE-2018-15664, CVE-2019-14271 and kin)."""
    secret = tmp_path / "secret"
    secret.write_text("host")
    cli("exec", sleeper, "ln", "-s", str(secret), "/tmp/link")
    cli("cp", "-L", f"{sleeper}:/tmp/link", str(tmp_path / "out"), check=False)
    assert not (tmp_path / "out").exists() or (tmp_path / "out").read_text() != "host"
    cli("exec", sleeper, "ln", "-s", str(tmp_path), "/tmp/door")
    (tmp_path / "f").write_text("new")
    cli("cp", str(tmp_path / "f"), f"{sleeper}:/tmp/door/evil", check=False)
    assert not (tmp_path / "evil").exists()


def test_diff(cli, name):
    chosen = name()
    cli("run", "--name", chosen, IMAGE, "sh", "-c", "echo x > /root/new; echo y >> /etc/plain; rm /data/seed")
    assert set(cli.out("diff", chosen).splitlines()) >= {"A /root/new", "C /etc/plain", "D /data/seed", "C /root"}


def test_export(cli, name, tmp_path):
    chosen = name()
    cli("run", "--name", chosen, IMAGE, "sh", "-c", "echo mine > /root/f; rm /data/seed")
    data = cli("export", chosen, text=False).stdout
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = {name.lstrip("./").rstrip("/") for name in tar.getnames()}
        assert {"root/f", "bin/busybox", "etc/passwd"} <= names and "data/seed" not in names
        member = next(member for member in tar.getmembers() if member.name.endswith("root/f"))
        assert tar.extractfile(member).read() == b"mine\n"
    cli("export", "-o", str(tmp_path / "x.tar"), chosen)
    assert (tmp_path / "x.tar").stat().st_size == len(data)


def test_commit(cli, name, engine):
    chosen = name()
    cli("run", "--name", chosen, "-e", "KEPT=yes", IMAGE, "sh", "-c", "echo added > /root/f; rm /data/seed")
    reference = f"committed:{chosen}"
    try:
        identifier = cli.out("commit", "-m", "note", "-a", "me", "-c", 'CMD ["cat", "/root/f"]', chosen, reference)
        assert identifier.startswith("sha256:")
        assert cli.out("run", "--rm", reference) == "added"
        assert cli.out("run", "--rm", reference, "sh", "-c", "echo $KEPT; ls /data | wc -l").split() == ["yes", "0"]
        description = engine.request("GET", f"/images/{reference}/json").json
        assert description["Comment"] == "note" and description["Author"] == "me"
        assert len(description["RootFS"]["Layers"]) == 2
    finally:
        engine.request("DELETE", f"/images/{reference}?force=1")


def test_archive_over_the_api(engine, sleeper):
    answer = engine.request("HEAD", f"/containers/{sleeper}/archive?path=/etc/passwd")
    assert answer.status == 200 and answer.headers["X-Docker-Container-Path-Stat"]
    assert engine.request("GET", f"/containers/{sleeper}/archive?path=/none").status == 404
    assert engine.request("PUT", f"/containers/{sleeper}/archive?path=/none", b"").status == 404


@pytest.fixture
def sleeper(apus, name):
    chosen = name()
    apus("run", "-d", "--name", chosen, IMAGE, "sleep", "1000")
    return chosen
