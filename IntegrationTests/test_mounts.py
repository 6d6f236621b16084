"""Volumes, binds, tmpfs, read-only roots."""

import json

import pytest

from engines import IMAGE

pytestmark = pytest.mark.usefixtures("no_leaks")


def test_bind(cli, tmp_path):
    (tmp_path / "in").write_text("host")
    output = cli.out("run", "--rm", "-v", f"{tmp_path}:/mnt", IMAGE, "sh", "-c", "cat /mnt/in; echo -n inside > /mnt/out")
    assert output == "host" and (tmp_path / "out").read_text() == "inside"


def test_bind_of_one_file(cli, tmp_path):
    file = tmp_path / "file"
    file.write_text("one")
    assert cli.out("run", "--rm", "-v", f"{file}:/etc/one:ro", IMAGE, "cat", "/etc/one") == "one"


def test_read_only_bind(cli, tmp_path):
    result = cli("run", "--rm", "-v", f"{tmp_path}:/mnt:ro", IMAGE, "touch", "/mnt/x", check=False)
    assert result.returncode == 1 and "Read-only" in result.stderr


def test_a_binds_missing_source_is_made(cli, tmp_path):
    cli("run", "--rm", "-v", f"{tmp_path}/made/deep:/mnt", IMAGE, "touch", "/mnt/x")
    assert (tmp_path / "made/deep/x").exists()


def test_mount_does_not_make_a_missing_source(cli, tmp_path):
    result = cli("run", "--rm", "--mount", f"type=bind,source={tmp_path}/none,target=/mnt", IMAGE, "true", check=False)
    assert result.returncode == 125 and f"{tmp_path}/none" in result.stderr
    assert not (tmp_path / "none").exists()


def test_mount_options(cli, tmp_path):
    result = cli(
        "run", "--rm", "--mount", f"type=bind,source={tmp_path},target=/mnt,readonly", IMAGE, "touch", "/mnt/x",
        check=False)
    assert result.returncode == 1


@pytest.mark.parametrize("words", [("--tmpfs", "/t:size=1m,mode=1770"),
                                   ("--mount", "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770")])
def test_tmpfs(cli, words):
    output = cli.out("run", "--rm", *words, IMAGE, "sh", "-c", "stat -c %a /t; grep ' /t ' /proc/mounts")
    assert output.splitlines()[0] == "1770"
    assert "tmpfs" in output and "size=1024k" in output
    result = cli("run", "--rm", *words, IMAGE, "dd", "if=/dev/zero", "of=/t/x", "bs=1M", "count=2", check=False)
    assert result.returncode != 0 and "No space" in result.stderr


def test_named_volume_keeps_its_data(cli, volume):
    chosen = volume()
    cli("run", "--rm", "-v", f"{chosen}:/v", IMAGE, "sh", "-c", "echo kept > /v/x")
    assert cli.out("run", "--rm", "-v", f"{chosen}:/v:ro", IMAGE, "cat", "/v/x") == "kept"
    assert chosen in cli.out("volume", "ls", "-q").split()


def test_a_new_volume_begins_with_the_images_files(cli, volume):
    chosen = volume()
    assert cli.out("run", "--rm", "-v", f"{chosen}:/data", IMAGE, "cat", "/data/seed") == "from the image"
    empty = volume()
    assert cli.out("run", "--rm", "-v", f"{empty}:/data:nocopy", IMAGE, "ls", "/data") == ""


def test_anonymous_volume_goes_with_rm(cli, name, engine):
    chosen = name()
    cli("run", "--name", chosen, "-v", "/anonymous", IMAGE, "touch", "/anonymous/x")
    mount = next(mount for mount in engine.inspect(chosen)["Mounts"] if mount["Destination"] == "/anonymous")
    assert mount["Type"] == "volume"
    cli("rm", "-v", chosen)
    assert engine.request("GET", f"/volumes/{mount['Name']}").status == 404


def test_rm_flag_removes_anonymous_but_not_named_volumes(cli, volume, engine):
    chosen = volume()
    before = set(cli.out("volume", "ls", "-q").split())
    cli("run", "--rm", "-v", "/anonymous", "-v", f"{chosen}:/named", IMAGE, "true")
    engine.wait_for(lambda: set(cli.out("volume", "ls", "-q").split()) == before | {chosen})


def test_volumes_from(cli, name):
    first = name()
    cli("run", "--name", first, "-v", "/shared", IMAGE, "sh", "-c", "echo x > /shared/f")
    assert cli.out("run", "--rm", "--volumes-from", first, IMAGE, "cat", "/shared/f") == "x"


def test_volume_verbs(cli, volume):
    chosen = volume()
    assert cli.out("volume", "create", "--label", "a=b", chosen) == chosen
    description = json.loads(cli.out("volume", "inspect", chosen))[0]
    assert description["Name"] == chosen and description["Labels"] == {"a": "b"} and description["Driver"] == "local"
    assert cli.out("volume", "ls", "-q", "--filter", "label=a=b") == chosen
    assert cli.out("volume", "inspect", "-f", "{{.Name}}", chosen) == chosen
    assert cli.out("volume", "rm", chosen) == chosen
    assert cli("volume", "inspect", chosen, check=False).returncode == 1


def test_a_used_volume_is_kept(cli, volume, name):
    chosen = volume()
    container = name()
    cli("create", "--name", container, "-v", f"{chosen}:/v", IMAGE)
    result = cli("volume", "rm", chosen, check=False)
    assert result.returncode == 1 and "in use" in result.stderr


def test_volume_prune(cli, volume, engine):
    chosen = volume()
    cli("volume", "create", "--label", f"mark={chosen}", chosen)
    cli("volume", "prune", "-f", "--filter", f"label=mark={chosen}", *(["-a"] if engine.is_apus else []))
    assert engine.request("GET", f"/volumes/{chosen}").status == 404


def test_read_only_root(cli):
    result = cli("run", "--rm", "--read-only", IMAGE, "touch", "/x", check=False)
    assert result.returncode == 1 and "Read-only" in result.stderr
    cli("run", "--rm", "--read-only", "--tmpfs", "/tmp", IMAGE, "touch", "/tmp/x", "/dev/shm/x")


def test_nothing_of_the_host_shows_by_default(cli):
    mounts = cli.out("run", "--rm", IMAGE, "cat", "/proc/mounts").splitlines()
    targets = {line.split()[1] for line in mounts}
    assert {"/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/sys"} <= targets
    assert not any(target.startswith(("/home", "/root", "/var")) for target in targets)


def test_shm_size(cli):
    assert "size=1024k" in cli.out("run", "--rm", "--shm-size", "1m", IMAGE, "grep", "/dev/shm", "/proc/mounts")


def test_working_directory_of_relative_source(cli, tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here/f").write_text("relative")
    assert cli.out("run", "--rm", "-v", "./here:/mnt", IMAGE, "cat", "/mnt/f", cwd=tmp_path) == "relative"
