"""checkpoint and restore: what criu is asked for, and where one that works is on the path, what becomes of it.

Few kernels get along with Debian's: a double takes its place in most tests."""

import json
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import time

import pytest

import oci
from engines import BINARIES

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="containers need root")

#: Writes down its arguments; `restore` starts a sleeper in the place of what would have been restored.
DOUBLE = """#!{python}
import json, os, subprocess, sys
words = sys.argv[1:]
with open({trace!r}, "a") as trace:
    trace.write(json.dumps(words) + "\\n")
if words[0] == "dump":
    open(words[words.index("--images-dir") + 1] + "/inventory.img", "w").close()
if words[0] == "restore":
    process = subprocess.Popen(["sleep", "1000"], start_new_session=True, close_fds=True)
    with open(words[words.index("--pidfile") + 1], "w") as file:
        file.write(str(process.pid))
    os._exit(0)
"""


@pytest.fixture
def runtime(tmp_path):
    runtime = oci.Runtime(BINARIES / "apus-runtime", tmp_path)
    yield runtime
    runtime.close()


@pytest.fixture
def bundle(tmp_path):
    return oci.Bundle(tmp_path / "bundle")


@pytest.fixture
def criu(tmp_path):
    """The double: a path, and what it has been asked for."""
    path, trace = tmp_path / "criu", tmp_path / "criu-trace"
    trace.touch()
    path.write_text(DOUBLE.format(python=sys.executable, trace=str(trace)))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)

    class Double:
        def __str__(self):
            return str(path)

        def asked(self, verb):
            found = [words for words in map(json.loads, trace.read_text().splitlines()) if words[0] == verb]
            assert len(found) == 1, found
            return found[0]

    return Double()


def test_without_criu_it_says_so(runtime, bundle):
    bundle.write()
    runtime("run", "-d", "-b", bundle.path, "c", check=0)
    for words in (("checkpoint", "c"), ("restore", "-b", bundle.path, "d")):
        done = runtime("--criu", "/nowhere/criu", *words, check=1)
        assert "criu, which is not installed" in done.stderr
    assert runtime.state("c")["status"] == "running"


def test_a_criu_that_does_not_work_is_named(runtime, bundle):
    bundle.write()
    runtime("run", "-d", "-b", bundle.path, "c", check=0)
    assert "/bin/false does not work on this host's kernel" in runtime("--criu", "/bin/false", "checkpoint", "c", check=1).stderr
    assert runtime.state("c")["status"] == "running"


def test_checkpoint_and_restore(runtime, bundle, criu, tmp_path):
    (tmp_path / "data").mkdir()
    bundle.config["mounts"].append(
        {"destination": "/host", "type": "bind", "source": str(tmp_path / "data"), "options": ["bind"]})
    bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["reboot"], "action": "SCMP_ACT_ERRNO"}]}
    bundle.write()
    runtime("run", "-d", "-b", bundle.path, "c", check=0)
    process = runtime.state("c")["pid"]
    images = tmp_path / "images"
    runtime("--criu", criu, "checkpoint", "--image-path", images, "--tcp-established", "--file-locks", "c", check=0)
    words = criu.asked("dump")
    assert words[words.index("--tree") + 1] == str(process)
    assert words[words.index("--images-dir") + 1] == str(images)
    assert {"--tcp-established", "--file-locks", "--manage-cgroups=soft"} <= set(words)
    assert "--leave-running" not in words
    assert "mnt[/host]:/host" in words
    assert runtime("state", "c").returncode == 1

    runtime("--criu", criu, "restore", "--image-path", images, "-b", bundle.path, "-d", "--pid-file", tmp_path / "pid", "c", check=0)
    words = criu.asked("restore")
    assert f"mnt[/host]:{tmp_path / 'data'}" in words
    assert words[words.index("--root") + 1] == str(bundle.path / "rootfs")
    assert words[words.index("--cgroup-root") + 1] == bundle.config["linux"]["cgroupsPath"]
    state = runtime.state("c")
    assert state["status"] == "running" and state["pid"] == int((tmp_path / "pid").read_text())
    # The filter is there for what will be executed in it.
    assert (runtime.root / "c" / "seccomp.bpf").stat().st_size > 0
    runtime("delete", "--force", "c", check=0)


def test_a_dump_of_memory_leaves_it_running(runtime, bundle, criu, tmp_path):
    bundle.write()
    runtime("run", "-d", "-b", bundle.path, "c", check=0)
    runtime("--criu", criu, "checkpoint", "--image-path", tmp_path / "i", "--pre-dump", "c", check=0)
    assert "--track-mem" in criu.asked("pre-dump")
    assert runtime.state("c")["status"] == "running"


def test_restore_needs_images(runtime, bundle, criu, tmp_path):
    bundle.write()
    done = runtime("--criu", criu, "restore", "--image-path", tmp_path / "none", "-b", bundle.path, "c", check=1)
    assert "inventory.img is missing" in done.stderr
    assert runtime("state", "c").returncode == 1


def criu_works():
    found = shutil.which("criu")
    return found is not None and subprocess.run([found, "check"], capture_output=True, check=False).returncode == 0


#: With peers: what a container that counts does is the same below both.
REAL = {"apus-runtime": BINARIES / "apus-runtime", "runc": shutil.which("runc")}
real = pytest.mark.skipif(not criu_works(), reason="no criu that works on this kernel is on the path")


@pytest.fixture(params=REAL)
def either(request, tmp_path):
    if REAL[request.param] is None:
        pytest.skip(f"{request.param} is not installed")
    runtime = oci.Runtime(REAL[request.param], tmp_path)
    yield runtime
    runtime.close()


def start(runtime, bundle):
    """With streams that criu takes: files of the host are none."""
    null = subprocess.DEVNULL
    subprocess.run(runtime.command("run", "-d", "-b", bundle.path, "c"), stdin=null, stdout=null, stderr=null, check=True)


class Counter:
    """A container that counts into a file of the host."""

    def __init__(self, bundle, directory):
        directory.mkdir()
        self.file = directory / "count"
        bundle.config["mounts"].append(
            {"destination": "/host", "type": "bind", "source": str(directory), "options": ["bind"]})
        bundle.config["mounts"].append({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]})
        bundle.config["linux"]["resources"]["pids"] = {"limit": 50}
        bundle.run("sh", "-c", "i=0; while true; do i=$((i + 1)); echo $i >> /host/count; sleep 0.05; done").write()

    def value(self):
        return int(self.file.read_text().split()[-1]) if self.file.exists() and self.file.read_text() else 0

    def reaches(self, value):
        deadline = time.monotonic() + 20
        while self.value() < value:
            assert time.monotonic() < deadline, self.value()
            time.sleep(0.02)

    def stands(self):
        before = self.value()
        time.sleep(0.3)
        return self.value() == before


@real
@pytest.mark.parametrize("leave", [False, True])
def test_counting_goes_on(either, bundle, tmp_path, leave):
    counter = Counter(bundle, tmp_path / "data")
    start(either, bundle)
    counter.reaches(5)
    either("checkpoint", "--image-path", tmp_path / "images", *(["--leave-running"] if leave else []), "c", check=0)
    if leave:
        assert either.state("c")["status"] == "running"
        counter.reaches(counter.value() + 5)
        either("delete", "--force", "c", check=0)
    else:
        assert either("state", "c").returncode == 1
    assert counter.stands()
    at = counter.value()
    either("restore", "--image-path", tmp_path / "images", "-b", bundle.path, "--detach", "--pid-file", tmp_path / "pid", "c",
           check=0)
    counter.reaches(at + 5)
    # From where the images have it, and not from the beginning.
    numbers = [int(line) for line in counter.file.read_text().split()]
    assert numbers.count(1) == 1 and numbers[-1] > 5
    state = either.state("c")
    assert state["status"] == "running" and state["pid"] == int((tmp_path / "pid").read_text())
    # All that a container can be asked for, it can be asked for again.
    assert either("exec", "c", "cat", "/host/count", check=0).stdout.startswith("1\n")
    path = bundle.config["linux"]["cgroupsPath"]
    groups = {line.split(":", 2)[2] for line in pathlib.Path(f"/proc/{state['pid']}/cgroup").read_text().splitlines()}
    assert path in groups
    limit = next(iter(pathlib.Path("/sys/fs/cgroup").glob(f"pids{path}/pids.max")), pathlib.Path(f"/sys/fs/cgroup{path}/pids.max"))
    assert limit.read_text() == "50\n"
    either("pause", "c", check=0)
    assert counter.stands()
    either("resume", "c", check=0)
    counter.reaches(counter.value() + 3)
    either("delete", "--force", "c", check=0)
    assert counter.stands()


@real
def test_restored_in_the_foreground(runtime, bundle, tmp_path):
    counter = Counter(bundle, tmp_path / "data")
    start(runtime, bundle)
    counter.reaches(5)
    runtime("checkpoint", "--image-path", tmp_path / "images", "c", check=0)
    at = counter.value()
    process = subprocess.Popen(
        runtime.command("restore", "--image-path", tmp_path / "images", "-b", bundle.path, "c"), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    counter.reaches(at + 5)
    runtime("kill", "c", "KILL", check=0)
    assert process.wait(timeout=20) == 137
    assert runtime("state", "c").returncode == 1


@real
def test_pipes_are_the_restorers(runtime, bundle, tmp_path):
    """What the container writes goes to whoever restores it."""
    bundle.run("sh", "-c", "while true; do echo tick; sleep 0.05; done").write()
    first = subprocess.Popen(
        runtime.command("run", "-b", bundle.path, "c"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert first.stdout.readline() == b"tick\n"
    runtime("checkpoint", "--image-path", tmp_path / "images", "c", check=0)
    first.wait(timeout=20)
    second = subprocess.Popen(
        runtime.command("restore", "--image-path", tmp_path / "images", "-b", bundle.path, "c"), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert [second.stdout.readline() for _ in range(5)] == [b"tick\n"] * 5
    runtime("delete", "--force", "c", check=0)
    second.wait(timeout=20)


@real
def test_devices_stay_forbidden(runtime, bundle, tmp_path):
    """No image has the rules of devices."""
    bundle.config["linux"]["devices"] = [{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11}]
    bundle.write()
    start(runtime, bundle)
    runtime("checkpoint", "--image-path", tmp_path / "images", "c", check=0)
    runtime("restore", "--image-path", tmp_path / "images", "-b", bundle.path, "-d", "c", check=0)
    done = runtime("exec", "c", "sh", "-c", ": < /dev/kmsg")
    assert done.returncode != 0 and "Operation not permitted" in done.stderr, done


@real
@pytest.mark.parametrize("isDetached", [True, False])
def test_a_terminal_comes_back(runtime, bundle, tmp_path, isDetached):
    """The other end of it is another one then; what is in the container is the same."""
    bundle.run("sh", "-c", "n=0; trap 'echo caught' INT; while true; do read x && n=$((n + 1)) && echo $n $x $(tty); done", terminal=True).write()
    server = oci.ConsoleSocket(tmp_path / "s")
    runtime("run", "-d", "--console-socket", server.path, "-b", bundle.path, "c", check=0)
    _, master = server.receive()
    os.write(master, b"one\n")
    assert b"1 one /dev/pts/0" in oci.read_terminal(master, b"1 one /dev/pts/0")
    runtime("checkpoint", "--image-path", tmp_path / "images", "c", check=0)
    os.close(master)
    words = ["restore", "--image-path", tmp_path / "images", "-b", bundle.path]
    process = None
    if isDetached:
        server = oci.ConsoleSocket(tmp_path / "t")
        runtime(*words, "-d", "--console-socket", server.path, "c", check=0)
        _, master = server.receive()
    else:
        master, slave = os.openpty()
        process = subprocess.Popen(runtime.command(*words, "c"), stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        runtime_is_up(runtime)
    os.write(master, b"two\n")
    assert b"2 two /dev/pts/0" in oci.read_terminal(master, b"2 two /dev/pts/0")
    # It is still the controlling terminal: its signals arrive.
    os.write(master, b"\x03")
    assert b"caught" in oci.read_terminal(master, b"caught")
    if process is not None:
        runtime("kill", "c", "KILL", check=0)
        assert process.wait(timeout=20) == 137
    os.close(master)


def runtime_is_up(runtime):
    deadline = time.monotonic() + 20
    while runtime("state", "c").returncode != 0:
        assert time.monotonic() < deadline
        time.sleep(0.05)
