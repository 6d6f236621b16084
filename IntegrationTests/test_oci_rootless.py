"""The OCI runtime for an ordinary user: a single id or ranges of them, with and without control groups."""

import json
import os
import pathlib
import shutil
import stat
import subprocess
import tempfile
import time
import uuid

import pytest

import oci
from engines import BINARIES

PROGRAMS = {"apus-runtime": BINARIES / "apus-runtime", "runc": shutil.which("runc")}

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a user")


class User:
    """A user of this machine with subordinate ids, as useradd gives them."""

    def __init__(self):
        self.name = f"apus-{uuid.uuid4().hex[:8]}"
        subprocess.run(["useradd", "--no-create-home", "--shell", "/bin/sh", self.name], check=True)
        self.uid, self.gid = (int(subprocess.check_output(["id", flag, self.name])) for flag in ("-u", "-g"))
        self.uids, self.gids = self.first("/etc/subuid"), self.first("/etc/subgid")

    def first(self, path):
        """The first of the subordinate ids."""
        for line in pathlib.Path(path).read_text().splitlines():
            name, start, count = line.split(":")
            if name == self.name:
                assert int(count) >= 65536
                return int(start)
        raise AssertionError(f"{self.name} has nothing in {path}")

    def close(self):
        subprocess.run(["userdel", self.name], check=True)


class UserRuntime(oci.Runtime):
    """A runtime as that user runs it, its state where it is by default."""

    def __init__(self, program, directory, user):
        super().__init__(program, directory)
        self.name = pathlib.Path(program).name
        # The checkout may be out of the user's reach.
        self.program = str(shutil.copy(program, directory / self.name))
        self.user, self.options, self.path = user, [], "/usr/sbin:/usr/bin:/sbin:/bin"
        self.run_directory = directory / "run"
        self.run_directory.mkdir(mode=0o700)
        os.chown(self.run_directory, user.uid, user.gid)
        self.root = self.run_directory / self.name

    def command(self, *words):
        return [
            "setpriv", f"--reuid={self.user.uid}", f"--regid={self.user.gid}", "--clear-groups", "env", "-i",
            f"PATH={self.path}", f"XDG_RUNTIME_DIR={self.run_directory}", self.program, *self.options,
            *map(str, words)
        ]


@pytest.fixture(scope="module")
def user():
    user = User()
    yield user
    user.close()


@pytest.fixture
def directory():
    """Which the user can reach, as pytest's own cannot."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="apus-rootless-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def ours(directory, user):
    runtime = UserRuntime(PROGRAMS["apus-runtime"], directory, user)
    yield runtime
    runtime.close()


@pytest.fixture(params=PROGRAMS)
def runtime(request, directory, user):
    """What is expected of runc too."""
    if PROGRAMS[request.param] is None:
        pytest.skip(f"{request.param} is not installed")
    runtime = UserRuntime(PROGRAMS[request.param], directory, user)
    yield runtime
    runtime.close()


@pytest.fixture
def bundle(directory, user):
    """The example for such a user, with a root that is the user's."""
    bundle = oci.Bundle(directory / "bundle")
    (bundle.path / "rootfs" / "tmp").chmod(0o777)
    subprocess.run(["chown", "-R", f"{user.uid}:{user.gid}", bundle.path], check=True)
    linux = bundle.config["linux"]
    # A new sysfs needs a network namespace that is the container's own, which the bundle has.
    linux["namespaces"].append({"type": "user"})
    linux["uidMappings"] = [{"containerID": 0, "hostID": user.uid, "size": 1}]
    linux["gidMappings"] = [{"containerID": 0, "hostID": user.gid, "size": 1}]
    del linux["resources"], linux["cgroupsPath"]
    bundle.config["root"]["readonly"] = False
    return bundle


def with_ranges(bundle, user):
    linux = bundle.config["linux"]
    linux["uidMappings"].append({"containerID": 1, "hostID": user.uids, "size": 65536})
    linux["gidMappings"].append({"containerID": 1, "hostID": user.gids, "size": 65536})
    return bundle


def table(text):
    """The lines of an id map."""
    return [tuple(map(int, line.split())) for line in text.splitlines()]


def owner(path):
    status = path.lstat()
    return status.st_uid, status.st_gid


def test_example_runs(runtime, bundle, user):
    """`spec --rootless` is something that runs as it is."""
    runtime("spec", "--rootless", "--bundle", bundle.path, check=0)
    config = json.loads((bundle.path / "config.json").read_text())
    assert config["linux"]["uidMappings"] == [{"containerID": 0, "hostID": user.uid, "size": 1}]
    config["process"].update(terminal=False, args=["id", "-u"])
    config["process"]["env"] = ["PATH=/bin"]
    (bundle.path / "config.json").write_text(json.dumps(config))
    assert runtime("run", "-b", bundle.path, "c", check=0).stdout == "0\n"
    # It is not to be tidied away.
    assert stat.S_IMODE(runtime.root.stat().st_mode) == stat.S_ISVTX | 0o700
    # Nothing of it is left where the state of this user's containers is.
    assert runtime.root.is_dir() and list(runtime.root.glob("[!.]*")) == []
    assert owner(runtime.root) == (user.uid, user.gid)


def test_single_id(runtime, bundle, user):
    bundle.run("sh", "-c", "id -u; id -g; cat /proc/self/setgroups; cat /proc/self/uid_map; : > /tmp/file").write()
    lines = runtime("run", "-b", bundle.path, "c", check=0).stdout.splitlines()
    assert lines[:3] == ["0", "0", "deny"]
    assert table(lines[3]) == [(0, user.uid, 1)]
    assert owner(bundle.path / "rootfs/tmp/file") == (user.uid, user.gid)


def test_ranges(runtime, bundle, user):
    bundle.run("sh", "-c", "cd /proc/self; id -u; cat setgroups uid_map gid_map")
    with_ranges(bundle, user).write()
    lines = runtime("run", "-b", bundle.path, "c", check=0).stdout.splitlines()
    assert lines[:2] == ["0", "allow"]
    assert table("\n".join(lines[2:])) == [
        (0, user.uid, 1), (1, user.uids, 65536), (0, user.gid, 1), (1, user.gids, 65536)]


def test_file_of_a_mapped_user(runtime, bundle, user):
    with_ranges(bundle, user).run("sh", "-c", "id -u; id -g; : > /tmp/file", user={"uid": 1000, "gid": 1001}).write()
    assert runtime("run", "-b", bundle.path, "c", check=0).stdout == "1000\n1001\n"
    assert owner(bundle.path / "rootfs/tmp/file") == (user.uids + 999, user.gids + 1000)


def test_groups_of_ranges(ours, bundle, user):
    with_ranges(bundle, user).run("id", "-G", user={"uid": 1000, "gid": 1000, "additionalGids": [5, 10]}).write()
    assert ours("run", "-b", bundle.path, "c", check=0).stdout.split() == ["1000", "5", "10"]


@pytest.mark.parametrize("ranges", [False, True])
def test_life(runtime, bundle, user, ranges):
    if ranges:
        with_ranges(bundle, user)
    bundle.write()
    runtime("create", "-b", bundle.path, "c", check=0)
    state = runtime.state("c")
    assert state["status"] == "created"
    assert pathlib.Path(f"/proc/{state['pid']}").stat().st_uid == user.uid
    runtime("start", "c", check=0)
    assert runtime.state("c")["status"] == "running"
    assert runtime("exec", "c", "sh", "-c", "id -u; cat /proc/1/cmdline", check=0).stdout == "0\nsleep\x001000\x00"
    assert runtime("exec", "c", "sh", "-c", "exit 7").returncode == 7
    if ranges:
        runtime("exec", "--user", "7:8", "c", "sh", "-c", ": > /tmp/executed", check=0)
        assert owner(bundle.path / "rootfs/tmp/executed") == (user.uids + 6, user.gids + 7)
    assert user.name in runtime("list", check=0).stdout
    runtime("kill", "c", "KILL", check=0)
    runtime.wait_for("c", "stopped")
    runtime("delete", "c", check=0)
    assert runtime("state", "c").returncode == 1
    assert list(runtime.root.glob("[!.]*")) == []


def test_processes_without_a_group(ours, bundle):
    """They are found by their process namespace."""
    bundle.write()
    ours("run", "-d", "-b", bundle.path, "c", check=0)
    ours("exec", "-d", "c", "sleep", "2000", check=0)
    first = ours.state("c")["pid"]
    processes = json.loads(ours("ps", "--format", "json", "c", check=0).stdout)
    assert first in processes and len(processes) == 2
    ours("kill", "--all", "c", "KILL", check=0)
    ours.wait_for("c", "stopped")
    ours("delete", "c", check=0)


def test_delete_by_force(runtime, bundle, user):
    with_ranges(bundle, user).write()
    runtime("run", "-d", "-b", bundle.path, "c", check=0)
    process = runtime.state("c")["pid"]
    runtime("delete", "--force", "c", check=0)
    assert not pathlib.Path(f"/proc/{process}/root").exists()
    assert list(runtime.root.glob("[!.]*")) == []


def test_root_of_a_user_namespace(runtime, bundle, user):
    """So engines without root start their runtime, whose containers need no user namespace then."""
    linux = bundle.config["linux"]
    linux["namespaces"] = [item for item in linux["namespaces"] if item["type"] != "user"]
    del linux["uidMappings"], linux["gidMappings"]
    bundle.write()
    words = f"{runtime.program} --root {runtime.root}"
    script = f"""set -e
    {words} run -d -b {bundle.path} c >/dev/null
    {words} exec c sh -c 'id -u; cat /proc/self/uid_map; echo x >/dev/null'
    {words} exec --user 7:8 c sh -c ': > /tmp/file'
    {words} delete --force c"""
    plain = runtime.command
    runtime.command = lambda *words: [
        *plain()[:-1], "unshare", "--user", "--map-root-user", "--map-auto", "--mount", *words]
    lines = runtime("sh", "-c", script, check=0).stdout.splitlines()
    runtime.command = plain
    assert lines[0] == "0" and table(lines[1]) == [(0, user.uid, 1)]
    assert owner(bundle.path / "rootfs/tmp/file") == (user.uids + 6, user.gids + 7)
    assert list(runtime.root.glob("[!.]*")) == []


def refused(runtime, bundle):
    """Runs what has to fail with one sentence and leave nothing; returns the sentence."""
    bundle.write()
    done = runtime("--log-format", "json", "run", "-b", bundle.path, "c", check=1)
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done
    assert list(runtime.root.glob("[!.]*")) == []
    return json.loads(lines[0])["msg"]


def test_a_user_namespace_is_needed(runtime, bundle):
    linux = bundle.config["linux"]
    linux["namespaces"] = [item for item in linux["namespaces"] if item["type"] != "user"]
    del linux["uidMappings"], linux["gidMappings"]
    bundle.write()
    done = runtime("run", "-b", bundle.path, "c", check=1)
    assert "user namespace" in done.stderr and len(done.stderr.splitlines()) == 1
    assert not runtime.root.exists() or list(runtime.root.glob("[!.]*")) == []


def test_state_needs_a_place(ours, bundle):
    ours.run_directory.chmod(0o500)
    bundle.write()
    assert "XDG_RUNTIME_DIR" in ours("run", "-b", bundle.path, "c", check=1).stderr


def test_foreign_ids_are_refused(ours, bundle, user):
    with_ranges(bundle, user)
    bundle.config["linux"]["uidMappings"][1]["hostID"] = user.uids + 1
    said = refused(ours, bundle)
    assert "linux.uidMappings" in said and "/etc/subuid" in said
    bundle.config["linux"]["gidMappings"][1]["hostID"] = 1
    assert "/etc/subgid" in refused(ours, bundle)


def test_another_user_is_refused(ours, bundle):
    bundle.config["linux"]["uidMappings"][0]["hostID"] = 0
    assert "/etc/subuid" in refused(ours, bundle)


def test_programs_that_map_are_looked_for(ours, bundle, user, directory):
    """In the caller's PATH first, where these stand for ones that do not work."""
    for name in ("newuidmap", "newgidmap"):
        double = directory / name
        double.write_text("#!/bin/sh\necho no such luck >&2\nexit 1\n")
        double.chmod(0o755)
    ours.path = f"{directory}:{ours.path}"
    said = refused(ours, with_ranges(bundle, user))
    assert "/etc/subgid" in said and "no such luck" in said


def test_programs_that_map_are_missed(ours, bundle, user):
    plain, hide = ours.command, "mount --bind /dev/null /usr/bin/newuidmap && exec \"$@\""
    ours.command = lambda *words: ["unshare", "--mount", "sh", "-c", hide, "sh", *plain(*words)]
    said = refused(ours, with_ranges(bundle, user))
    assert "newuidmap" in said and "/etc/subuid" in said and "package uidmap" in said
    del bundle.config["linux"]["uidMappings"][1:], bundle.config["linux"]["gidMappings"][1:]
    # One's own id takes no program.
    bundle.run("id", "-u").write()
    assert ours("run", "-b", bundle.path, "c", check=0).stdout == "0\n"


def test_limits_need_control_groups(ours, bundle):
    bundle.config["linux"]["resources"] = {"pids": {"limit": 10}}
    said = refused(ours, bundle)
    assert "cannot limit the container's resources" in said and "may not make control groups" in said


def test_without_limits_control_groups_can_be_demanded(ours, bundle):
    ours.options = ["--rootless=false"]
    assert "may not make the control group" in refused(ours, bundle)


def test_what_needs_a_control_group_says_so(ours, bundle):
    bundle.write()
    ours("run", "-d", "-b", bundle.path, "c", check=0)
    for words in (["pause", "c"], ["update", "--pids-limit", "5", "c"], ["events", "--stats", "c"]):
        assert "may not make control groups" in ours(*words, check=1).stderr
    assert "has none" in ours("exec", "--cgroup", "below", "c", "true", check=255).stderr
    assert ours.state("c")["status"] == "running"


@pytest.fixture
def delegated(user):
    """A group in every hierarchy that is the user's; a prefix of commands that run below it."""
    root = pathlib.Path("/sys/fs/cgroup")
    name = f"apus-test-{uuid.uuid4().hex[:8]}"
    if (root / "cgroup.controllers").exists():
        (root / "cgroup.subtree_control").write_text("+pids")
        hierarchies = [root]
    else:
        hierarchies = [path.parent for path in root.glob("*/cgroup.procs")]
    groups = []
    for hierarchy in hierarchies:
        group = hierarchy / name
        group.mkdir()
        for file in ("cpuset.cpus", "cpuset.mems"):
            if (hierarchy / file).exists():
                (group / file).write_text((hierarchy / file).read_text())
        if (group / "cgroup.clone_children").exists():
            (group / "cgroup.clone_children").write_text("1")
        # Not in the group itself: with members it could give no controller of version 2 to groups below.
        (group / "own").mkdir()
        groups += [group / "own", group]
        for directory in (group, group / "own"):
            for path in [directory, *(directory / file for file in ("tasks", "cgroup.procs", "cgroup.subtree_control"))]:
                if path.exists():
                    os.chown(path, user.uid, user.gid)
    files = " ".join(f"{group}/cgroup.procs" for group in groups if group.name == "own")
    yield name, ["sh", "-c", f"for file in {files}; do echo $$ > $file || exit 99; done; exec \"$@\"", "sh"]
    deadline = time.monotonic() + 10
    for group in groups:
        while group.exists():
            try:
                group.rmdir()
            except OSError:
                assert time.monotonic() < deadline, group
                time.sleep(0.05)


def test_delegated_control_groups(delegated, ours, bundle):
    name, prefix = delegated
    plain = ours.command
    ours.command = lambda *words: [*prefix, *plain(*words)]
    bundle.config["linux"]["cgroupsPath"] = f"/{name}/c"
    bundle.config["linux"]["resources"] = {"pids": {"limit": 10}, "devices": [{"allow": False, "access": "rwm"}]}
    bundle.write()
    ours("run", "-d", "-b", bundle.path, "c", check=0)
    root = pathlib.Path("/sys/fs/cgroup")
    group = next(path for path in (root / "pids" / name / "c", root / name / "c") if path.exists())
    assert (group / "pids.max").read_text() == "10\n"
    assert (group / "cgroup.procs").read_text().split() == [str(ours.state("c")["pid"])]
    # Whoever is executed in it belongs to it in every hierarchy.
    ours("exec", "-d", "--pid-file", ours.run_directory / "pid", "c", "sleep", "2000", check=0)
    executed = (ours.run_directory / "pid").read_text()
    for members in [group / "cgroup.procs", *root.glob(f"*/{name}/c/cgroup.procs")]:
        assert executed in members.read_text().split(), members
    ours("update", "--pids-limit", "5", "c", check=0)
    assert (group / "pids.max").read_text() == "5\n"
    ours("pause", "c", check=0)
    assert ours.state("c")["status"] == "paused"
    ours("resume", "c", check=0)
    assert ours("exec", "c", "id", "-u", check=0).stdout == "0\n"
    ours("delete", "--force", "c", check=0)
    assert not group.exists()


@pytest.fixture(params=[False, True], ids=["one id", "ranges"])
def ids(request, bundle, user):
    return with_ranges(bundle, user) if request.param else bundle


def test_terminal_by_socket(runtime, ids, user):
    bundle = ids.run(
        "sh", "-c", "tty; stty size; stat -c %u /dev/pts/0; read x; echo got $x", terminal=True,
        consoleSize={"height": 11, "width": 22})
    bundle.write()
    server = oci.ConsoleSocket(runtime.run_directory / "s")
    os.chown(server.path, user.uid, user.gid)
    runtime("create", "-b", bundle.path, "--console-socket", server.path, "c", check=0)
    name, master = server.receive()
    assert name.startswith("/dev/")
    runtime("start", "c", check=0)
    shown = oci.read_terminal(master, b"11 22\r\n0")
    os.write(master, b"hello\n")
    shown += oci.read_terminal(master, b"got hello")
    os.close(master)
    assert b"/dev/pts/0" in shown and b"got hello" in shown


def test_terminal_of_exec(runtime, ids, user):
    ids.write()
    runtime("run", "-d", "-b", ids.path, "c", check=0)
    server = oci.ConsoleSocket(runtime.run_directory / "s")
    os.chown(server.path, user.uid, user.gid)
    runtime("exec", "-t", "-d", "--console-socket", server.path, "c", "sh", "-c", "tty; id -u; sleep 0.1; echo end", check=0)
    _, master = server.receive()
    shown = oci.read_terminal(master, b"end")
    assert b"/dev/pts/" in shown and b"\r\n0\r\n" in shown
    os.close(master)


def test_terminal_in_the_foreground(runtime, ids):
    """Between the user's own terminal and the container's."""
    ids.run("sh", "-c", "tty; read x; echo got $x; exit 7", terminal=True).write()
    master, slave = os.openpty()
    process = subprocess.Popen(runtime.command("run", "-b", ids.path, "c"), stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    shown = oci.read_terminal(master, b"/dev/pts/")
    os.write(master, b"hello\r")
    shown += oci.read_terminal(master, b"got hello")
    assert process.wait(timeout=20) == 7
    os.close(master)


def test_hooks_of_a_user(ours, bundle, user):
    """All run as that user, those of the container in its namespaces, and get the state."""
    trace = ours.run_directory / "trace"
    (bundle.path / "rootfs/host/trace").touch()
    trace.touch()
    os.chown(trace, user.uid, user.gid)
    bundle.config["mounts"].append(
        {"destination": "/host/trace", "type": "bind", "source": str(trace), "options": ["bind", "rw"]})
    kinds = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
    bundle.config["hooks"] = {
        kind: [{"path": "/bin/sh", "args": [
            "sh", "-c", f"read -r state; echo \"{kind} $(id -u) $state\" >> {'/host/trace' if kind == 'startContainer' else trace}"]}]
        for kind in kinds}
    for hook in bundle.config["hooks"].values():
        hook[0]["env"] = ["PATH=/usr/bin:/bin"]
    bundle.run("true").write()
    ours("run", "-b", bundle.path, "c", check=0)
    lines = [line.split(" ", 2) for line in trace.read_text().splitlines()]
    assert [line[0] for line in lines] == kinds
    # The caller's on the host, root's in the container's user namespace.
    inside = {"createContainer": "0", "startContainer": "0"}
    assert {line[0]: line[1] for line in lines} == {kind: inside.get(kind, str(user.uid)) for kind in kinds}
    states = {line[0]: json.loads(line[2]) for line in lines}
    assert all(state["id"] == "c" and state["bundle"] == str(bundle.path) for state in states.values())
    assert states["createRuntime"]["pid"] > 0 and states["poststop"]["status"] == "stopped"


def test_failing_hooks_of_a_user_leave_nothing(ours, bundle):
    for kind in ("prestart", "createRuntime", "createContainer"):
        bundle.config["hooks"] = {kind: [{"path": "/bin/sh", "args": ["sh", "-c", "echo why >&2; exit 5"]}]}
        bundle.write()
        assert "why" in ours("create", "-b", bundle.path, "c", check=1).stderr
        assert ours("state", "c").returncode == 1
