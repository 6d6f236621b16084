"""Control groups made by systemd (--systemd-cgroup), the host's and a user's: units, their limits, and their end."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import uuid

import pytest

import oci
from engines import BINARIES

BOOTED = pathlib.Path("/run/systemd/system").exists()
GROUPS = pathlib.Path("/sys/fs/cgroup")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="containers need root")
needs_systemd = pytest.mark.skipif(not BOOTED, reason="systemd is not this host's first process")
needs_v2 = pytest.mark.skipif(not (GROUPS / "cgroup.controllers").exists(), reason="needs cgroup v2")


class SystemdRuntime(oci.Runtime):
    def command(self, *words):
        return [self.program, "--root", str(self.root), "--systemd-cgroup", *map(str, words)]


@pytest.fixture
def runtime(tmp_path):
    runtime = SystemdRuntime(BINARIES / "apus-runtime", tmp_path)
    yield runtime
    runtime.close()


@pytest.fixture
def name():
    return f"test{uuid.uuid4().hex[:12]}"


@pytest.fixture
def bundle(tmp_path, name):
    bundle = oci.Bundle(tmp_path / "bundle")
    bundle.config["linux"]["cgroupsPath"] = f"system.slice:apus:{name}"
    return bundle


def show(unit, *properties, prefix=()):
    """Properties of a unit; what systemd does not know has LoadState not-found."""
    options = [f"--property={name}" for name in properties]
    text = subprocess.check_output([*prefix, "systemctl", *(["--user"] if prefix else []), "show", unit, *options], text=True)
    return dict(line.split("=", 1) for line in text.splitlines())


def gone(unit, prefix=()):
    """systemd forgets a unit in its own time."""
    deadline = time.monotonic() + 10
    while show(unit, "ActiveState", prefix=prefix)["ActiveState"] != "inactive":
        assert time.monotonic() < deadline, show(unit, prefix=prefix)
        time.sleep(0.05)
    return True


def group_of(process):
    lines = pathlib.Path(f"/proc/{process}/cgroup").read_text().splitlines()
    return next(line[3:] for line in lines if line.startswith("0::"))


@pytest.mark.skipif(BOOTED, reason="systemd is this host's first process")
def test_without_systemd_it_says_so(runtime, bundle):
    bundle.write()
    for words in (["run", "-b", bundle.path, "c"], ["create", "-b", bundle.path, "c"]):
        done = runtime(*words, check=1)
        assert "this host was not booted with it; leave --systemd-cgroup out" in done.stderr
    assert runtime("state", "c").returncode == 1


@pytest.mark.parametrize("path", [
    "/apus/c", "system.slice:c", "a:b:c:d", "system:apus:c", "system.slice/x.slice:apus:c", "-x.slice:apus:c", "a--b.slice:apus:c",
    "system.slice:apus:../c", "system.slice:apus:" + "c" * 300,
])
def test_paths_are_checked(runtime, bundle, path):
    bundle.config["linux"]["cgroupsPath"] = path
    bundle.write()
    assert "linux.cgroupsPath: " in runtime("run", "-b", bundle.path, "c", check=1).stderr
    assert runtime("state", "c").returncode == 1


@needs_systemd
@needs_v2
def test_life_of_a_scope(runtime, bundle, name):
    unit = f"apus-{name}.scope"
    bundle.write()
    runtime("create", "-b", bundle.path, "c", check=0)
    process = runtime.state("c")["pid"]
    assert group_of(process) == f"/system.slice/{unit}"
    shown = show(unit, "ActiveState", "Slice", "Delegate", "DefaultDependencies", "ControlGroup", "Transient", "MemoryAccounting")
    assert shown == {
        "ActiveState": "active", "Slice": "system.slice", "Delegate": "yes", "DefaultDependencies": "no",
        "ControlGroup": f"/system.slice/{unit}", "Transient": "yes", "MemoryAccounting": "yes"}
    runtime("start", "c", check=0)
    # Whoever is executed in it belongs to it.
    assert runtime("exec", "c", "cat", "/proc/self/cgroup", check=0).stdout.strip().endswith(f"0::/system.slice/{unit}")
    runtime("pause", "c", check=0)
    assert runtime.state("c")["status"] == "paused"
    runtime("resume", "c", check=0)
    assert str(process) in runtime("ps", "c", check=0).stdout
    runtime("kill", "c", "KILL", check=0)
    runtime.wait_for("c", "stopped")
    runtime("delete", "c", check=0)
    assert gone(unit)
    assert not (GROUPS / "system.slice" / unit).exists()


@needs_systemd
@needs_v2
def test_limits_are_systemds(runtime, bundle, name):
    unit = f"apus-{name}.scope"
    group = GROUPS / "system.slice" / unit
    bundle.config["linux"]["resources"] = {
        "memory": {"limit": 64 << 20, "reservation": 32 << 20, "swap": 96 << 20},
        "cpu": {"shares": 2048, "quota": 30000, "period": 50000, "cpus": "0", "mems": "0"},
        "pids": {"limit": 40},
        "unified": {"memory.high": str(60 << 20), "memory.swap.high": str(16 << 20)},
        "devices": [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"}],
    }
    bundle.write()
    runtime("run", "-d", "-b", bundle.path, "c", check=0)
    names = ["MemoryMax", "MemoryLow", "MemoryHigh", "MemorySwapMax", "CPUWeight", "CPUQuotaPerSecUSec", "CPUQuotaPeriodUSec",
             "AllowedCPUs", "TasksMax", "DevicePolicy"]
    assert show(unit, *names) == {
        "MemoryMax": str(64 << 20), "MemoryLow": str(32 << 20), "MemoryHigh": str(60 << 20), "MemorySwapMax": str(32 << 20),
        "CPUWeight": "79", "CPUQuotaPerSecUSec": "600ms", "CPUQuotaPeriodUSec": "50ms", "AllowedCPUs": "0", "TasksMax": "40",
        "DevicePolicy": "strict"}
    allowed = subprocess.check_output(["systemctl", "show", unit, "--property=DeviceAllow"], text=True)
    assert "/dev/char/10:229 rw" in allowed and "/dev/char/1:3 rwm" in allowed and "char-136 rwm" in allowed

    def limits():
        return {file: (group / file).read_text().strip() for file in (
            "memory.max", "memory.low", "memory.high", "cpu.weight", "cpu.max", "cpuset.cpus", "pids.max", "memory.swap.high")}

    expected = {
        "memory.max": str(64 << 20), "memory.low": str(32 << 20), "memory.high": str(60 << 20), "cpu.weight": "79",
        "cpu.max": "30000 50000", "cpuset.cpus": "0", "pids.max": "40", "memory.swap.high": str(16 << 20)}
    assert limits() == expected
    # What systemd does not know of is lost on such an occasion.
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    assert limits() == expected
    assert runtime("exec", "c", "sh", "-c", "echo x > /dev/null", check=0)
    runtime("update", "--memory", "128M", "--memory-swap", "160M", "--pids-limit", "50", "--cpu-quota", "20000", "--cpu-period",
            "100000", "c", check=0)
    assert show(unit, "MemoryMax", "TasksMax", "CPUQuotaPerSecUSec") == {
        "MemoryMax": str(128 << 20), "TasksMax": "50", "CPUQuotaPerSecUSec": "200ms"}
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    assert limits() == {**expected, "memory.max": str(128 << 20), "pids.max": "50", "cpu.max": "20000 100000"}
    runtime("delete", "--force", "c", check=0)
    assert gone(unit)


@needs_systemd
@needs_v2
def test_devices_are_refused_by_both(runtime, bundle, name):
    bundle.config["linux"]["devices"] = [
        {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}, {"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11}]
    bundle.config["linux"]["resources"]["devices"].append(
        {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rwm"})
    bundle.write()
    runtime("run", "-d", "-b", bundle.path, "c", check=0)
    for _ in range(2):
        runtime("exec", "c", "sh", "-c", ": < /dev/fuse", check=0)
        assert "Operation not permitted" in runtime("exec", "c", "sh", "-c", ": < /dev/kmsg").stderr
        subprocess.run(["systemctl", "daemon-reload"], check=True)


@needs_systemd
def test_no_path_means_a_scope_of_its_id(runtime, bundle, name):
    del bundle.config["linux"]["cgroupsPath"]
    bundle.run("cat", "/proc/self/cgroup").write()
    assert f"/system.slice/apus-{name}.scope" in runtime("run", "-b", bundle.path, name, check=0).stdout
    assert gone(f"apus-{name}.scope")


@needs_systemd
@needs_v2
def test_slices_below_slices(runtime, bundle, name):
    bundle.config["linux"]["cgroupsPath"] = f"apustest-{name}.slice::c"
    bundle.run("cat", "/proc/self/cgroup").write()
    shown = runtime("run", "-b", bundle.path, "c", check=0).stdout
    assert shown.strip() == f"0::/apustest.slice/apustest-{name}.slice/c.scope"
    # systemd removes no slice that somebody may still want.
    subprocess.run(["systemctl", "stop", f"apustest-{name}.slice", "apustest.slice"], check=True)


@needs_systemd
@needs_v2
def test_a_container_can_be_a_slice(runtime, bundle, name):
    bundle.config["linux"]["cgroupsPath"] = f"apustest.slice:ignored:apustest-{name}.slice"
    bundle.config["linux"]["resources"] = {"pids": {"limit": 40}}
    bundle.write()
    runtime("run", "-d", "-b", bundle.path, "c", check=0)
    assert group_of(runtime.state("c")["pid"]) == f"/apustest.slice/apustest-{name}.slice"
    assert show(f"apustest-{name}.slice", "TasksMax")["TasksMax"] == "40"
    assert runtime("exec", "c", "cat", "/proc/self/cgroup", check=0).stdout.strip().endswith(f"apustest-{name}.slice")
    runtime("delete", "--force", "c", check=0)
    assert gone(f"apustest-{name}.slice")
    subprocess.run(["systemctl", "stop", "apustest.slice"], check=True)


@needs_systemd
def test_annotations_are_properties(runtime, bundle, name):
    bundle.config["annotations"] = {
        "org.systemd.property.TimeoutStopUSec": "uint64 123000000", "org.systemd.property.CollectMode": "'inactive-or-failed'",
        "org.systemd.property.Description": "\"of a test\"", "other": "x"}
    bundle.write()
    runtime("run", "-d", "-b", bundle.path, "c", check=0)
    assert show(f"apus-{name}.scope", "TimeoutStopUSec", "CollectMode", "Description") == {
        "TimeoutStopUSec": "2min 3s", "CollectMode": "inactive-or-failed", "Description": "of a test"}
    runtime("delete", "--force", "c", check=0)
    for key, value in (("CollectMode", "'no"), ("Collect.Mode", "true"), ("TimeoutStopSec", "'soon'")):
        bundle.config["annotations"] = {f"org.systemd.property.{key}": value}
        bundle.write()
        assert "annotations: " in runtime("run", "-b", bundle.path, "d", check=1).stderr
    bundle.config["annotations"] = {"org.systemd.property.NoSuchThing": "true"}
    bundle.write()
    assert "NoSuchThing" in runtime("run", "-b", bundle.path, "d", check=1).stderr
    assert runtime("state", "d").returncode == 1


@needs_systemd
def test_a_unit_is_one_containers(runtime, bundle, name):
    bundle.write()
    runtime("run", "-d", "-b", bundle.path, "c", check=0)
    done = runtime("run", "-d", "-b", bundle.path, "d", check=1)
    assert f"systemd has a unit apus-{name}.scope already" in done.stderr
    # The first is not touched by the end of the second.
    assert runtime.state("c")["status"] == "running"
    assert show(f"apus-{name}.scope", "ActiveState")["ActiveState"] == "active"


@needs_systemd
def test_what_fails_leaves_no_unit(runtime, bundle, name):
    bundle.run("/no/such/program").write()
    assert runtime("run", "-b", bundle.path, "c").returncode != 0
    assert gone(f"apus-{name}.scope")
    bundle.run("true")
    bundle.config["linux"]["resources"] = {"unified": {"no.such": "1"}}
    bundle.write()
    assert "no.such" in runtime("run", "-b", bundle.path, "c", check=1).stderr
    assert gone(f"apus-{name}.scope")


@needs_systemd
@needs_v2
def test_a_failed_unit_of_the_name_makes_way(runtime, bundle, name):
    unit = f"apus-{name}.scope"
    bundle.config["linux"]["resources"] = {"memory": {"limit": 8 << 20}}
    bundle.run("sh", "-c", "x=x; while true; do x=$x$x; done").write()
    runtime("run", "--keep", "-b", bundle.path, "c")
    assert runtime.state("c")["status"] == "stopped"
    bundle.config["linux"]["resources"] = {}
    bundle.run("true").write()
    runtime("run", "-b", bundle.path, "d", check=0)
    assert gone(unit)


@pytest.fixture(scope="module")
def user():
    """A user whose manager of units runs: a name, and a prefix of commands that are the user's."""
    name = f"apus-{uuid.uuid4().hex[:8]}"
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", name], check=True)
    uid, gid = (int(subprocess.check_output(["id", flag, name])) for flag in ("-u", "-g"))
    subprocess.run(["systemctl", "start", f"user@{uid}.service"], check=True, timeout=90)
    prefix = [
        "setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        f"XDG_RUNTIME_DIR=/run/user/{uid}"]
    yield name, uid, gid, prefix
    subprocess.run(["systemctl", "stop", f"user@{uid}.service", f"user-runtime-dir@{uid}.service"], check=True)
    subprocess.run(["userdel", "--remove", name], check=True, stderr=subprocess.DEVNULL)


@pytest.fixture
def users(user):
    """The runtime as that user has it, and a bundle."""
    _, uid, gid, prefix = user
    directory = pathlib.Path(tempfile.mkdtemp(prefix="apus-rootless-", dir="/tmp"))
    directory.chmod(0o755)
    bundle = oci.Bundle(directory / "bundle")
    linux = bundle.config["linux"]
    linux["namespaces"].append({"type": "user"})
    linux["uidMappings"] = [{"containerID": 0, "hostID": uid, "size": 1}]
    linux["gidMappings"] = [{"containerID": 0, "hostID": gid, "size": 1}]
    linux["resources"] = {"pids": {"limit": 30}, "memory": {"limit": 64 << 20}}
    subprocess.run(["chown", "-R", f"{uid}:{gid}", bundle.path], check=True)
    runtime = oci.Runtime(shutil.copy(BINARIES / "apus-runtime", directory), directory)
    runtime.root = pathlib.Path(f"/run/user/{uid}/apus-runtime")
    runtime.options, runtime.before = ["--systemd-cgroup"], []
    runtime.command = lambda *words: [*prefix, *runtime.before, runtime.program, *runtime.options, *map(str, words)]
    yield runtime, bundle
    runtime.close()
    shutil.rmtree(directory)


@needs_systemd
@needs_v2
def test_a_users_manager(users, user, name):
    _, uid, _, prefix = user
    runtime, bundle = users
    bundle.config["linux"]["cgroupsPath"] = f"user.slice:apus:{name}"
    bundle.write()
    unit = f"apus-{name}.scope"
    runtime("run", "-d", "-b", bundle.path, "c", check=0)
    manager = f"/user.slice/user-{uid}.slice/user@{uid}.service"
    assert group_of(runtime.state("c")["pid"]) == f"{manager}/user.slice/{unit}"
    group = GROUPS / f"{manager}/user.slice/{unit}"[1:]
    assert (group / "pids.max").read_text() == "30\n" and (group / "memory.max").read_text() == f"{64 << 20}\n"
    assert show(unit, "Slice", "TasksMax", prefix=prefix) == {"Slice": "user.slice", "TasksMax": "30"}
    assert runtime("exec", "c", "cat", "/proc/self/cgroup", check=0).stdout.strip().endswith(unit)
    runtime("update", "--pids-limit", "20", "c", check=0)
    assert (group / "pids.max").read_text() == "20\n"
    runtime("pause", "c", check=0)
    runtime("resume", "c", check=0)
    runtime("delete", "--force", "c", check=0)
    assert gone(unit, prefix=prefix) and not group.exists()


@needs_systemd
@needs_v2
def test_a_delegated_group_of_a_user(users, user, name):
    """Without the option, in what systemd has delegated to the user."""
    _, uid, _, prefix = user
    runtime, bundle = users
    runtime.options = []
    # A container outlives the command: the scope has to be there until then.
    keeper = subprocess.Popen([*prefix, "systemd-run", "--user", "--scope", "--quiet", f"--unit=keep-{name}.scope",
                               "--property=Delegate=yes", "sh", "-c", "sleep 1000"])
    try:
        scope = GROUPS / f"user.slice/user-{uid}.slice/user@{uid}.service/app.slice/keep-{name}.scope"
        deadline = time.monotonic() + 20
        while not (scope / "cgroup.procs").exists() or not (scope / "cgroup.procs").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        # Who has members hands no controller on: the user moves them down.
        inside = f"mkdir -p {scope}/own; for p in $(cat {scope}/cgroup.procs); do echo $p > {scope}/own/cgroup.procs; done"
        subprocess.run([*prefix, "sh", "-c", inside], check=True)
        path = str(scope.relative_to(GROUPS))
        bundle.config["linux"]["cgroupsPath"] = f"/{path}/c"
        bundle.write()
        # The commands run in the scope, too: nobody moves a process from where the user has no right.
        def command(*words):
            move = f'echo $$ > {scope}/own/cgroup.procs && exec "$@"'
            return ["sh", "-c", move, "sh", *prefix, runtime.program, *map(str, words)]
        runtime.command = command
        runtime("run", "-d", "-b", bundle.path, "c", check=0)
        assert group_of(runtime.state("c")["pid"]) == f"/{path}/c"
        assert (scope / "c" / "pids.max").read_text() == "30\n" and (scope / "c" / "memory.max").read_text() == f"{64 << 20}\n"
        runtime("update", "--pids-limit", "20", "c", check=0)
        assert (scope / "c" / "pids.max").read_text() == "20\n"
        runtime("pause", "c", check=0)
        assert runtime.state("c")["status"] == "paused"
        runtime("resume", "c", check=0)
        assert runtime("exec", "c", "id", "-u", check=0).stdout == "0\n"
        runtime("delete", "--force", "c", check=0)
        assert not (scope / "c").exists()
    finally:
        subprocess.run([*prefix, "systemctl", "--user", "stop", f"keep-{name}.scope"], check=True)
        keeper.wait()


@needs_systemd
def test_no_manager_of_the_user(users, user, name):
    runtime, bundle = users
    bundle.config["linux"]["cgroupsPath"] = ""
    bundle.write()
    plain = runtime.command
    runtime.command = lambda *words: [word if not word.startswith("XDG_RUNTIME_DIR") else "XDG_RUNTIME_DIR=/nowhere" for word in plain(*words)]
    assert "loginctl enable-linger" in runtime("run", "-b", bundle.path, "c", check=1).stderr
