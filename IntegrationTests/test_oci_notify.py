"""sd_notify(3): a service manager learns when the program in a container is ready, and no more of what it says."""

import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

import pytest

import oci
from engines import BINARIES

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="containers need root")

#: Says that it is ready, among other things. busybox cannot send a datagram: the host's Python is shown to the container.
SAY = """
import os, socket, sys, time
time.sleep({pause})
connection = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
connection.connect(os.environ["NOTIFY_SOCKET"])
for message in {messages!r}:
    connection.send(message.encode())
time.sleep(1000)
"""


class Manager:
    """The socket of a service manager, which lets go of what is sent along."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path if path[0] != "@" else "\0" + path[1:])
        self.socket.settimeout(20)

    def messages(self, count):
        found = []
        for _ in range(count):
            data, descriptors, _, _ = socket.recv_fds(self.socket, 4096, 4)
            for descriptor in descriptors:
                os.close(descriptor)
            found.append(data.decode())
        return found

    def is_quiet(self):
        self.socket.settimeout(0.3)
        try:
            return not self.socket.recv(4096)
        except TimeoutError:
            return True


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    return Manager(str(tmp_path / "manager.sock") if request.param == "path" else f"@apus-test-{os.getpid()}-{time.time_ns()}")


@pytest.fixture
def runtime(tmp_path):
    runtime = oci.Runtime(BINARIES / "apus-runtime", tmp_path)
    yield runtime
    runtime.close()


@pytest.fixture
def bundle(tmp_path):
    bundle = oci.Bundle(tmp_path / "bundle")
    for directory in ("/usr", "/lib", "/lib64"):
        if os.path.isdir(directory):
            bundle.config["mounts"].append(
                {"destination": directory, "type": "bind", "source": os.path.realpath(directory), "options": ["rbind", "ro"]})
    bundle.config["root"]["readonly"] = False
    return bundle


def saying(bundle, *messages, pause=0.0):
    python = os.path.realpath(shutil.which("python3", path="/usr/bin:/bin") or sys.executable)
    bundle.run(python, "-c", SAY.format(messages=messages, pause=pause)).write()


def with_manager(manager):
    return {**os.environ, "NOTIFY_SOCKET": manager.path}


def test_start_waits_until_it_is_ready(runtime, bundle, manager):
    saying(bundle, "STATUS=working\nMAINPID=1", "READY=1\nSTATUS=done", pause=0.5)
    runtime("create", "-b", bundle.path, "c", check=0, env=with_manager(manager))
    began = time.monotonic()
    process = subprocess.Popen(runtime.command("start", "c"), env=with_manager(manager), stdin=subprocess.DEVNULL)
    # What the container says of its own numbers is not believed.
    assert manager.messages(3) == ["READY=1\n", f"MAINPID={runtime.state('c')['pid']}\n", "BARRIER=1"]
    assert process.wait(timeout=20) == 0
    assert time.monotonic() - began > 0.4
    assert manager.is_quiet()
    runtime("delete", "--force", "c", check=0)
    assert not (runtime.root / "c").exists()


def test_a_detached_run_waits_too(runtime, bundle, manager):
    saying(bundle, "READY=1")
    runtime("run", "-d", "-b", bundle.path, "c", check=0, env=with_manager(manager))
    assert manager.messages(2) == ["READY=1\n", f"MAINPID={runtime.state('c')['pid']}\n"]


def test_other_commands_go_on_meanwhile(runtime, bundle, manager):
    bundle.write()
    process = subprocess.Popen(
        runtime.command("run", "-d", "-b", bundle.path, "c"), env=with_manager(manager), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while runtime("state", "c").returncode != 0 or runtime.state("c")["status"] != "running":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    runtime("pause", "c", check=0)
    runtime("resume", "c", check=0)
    assert process.poll() is None
    # Its end ends the wait.
    runtime("delete", "--force", "c", check=0)
    assert process.wait(timeout=20) == 0
    assert manager.is_quiet()


def test_in_the_foreground_the_runtime_is_the_process(runtime, bundle, manager):
    saying(bundle, "STATUS=x", "READY=1")
    process = subprocess.Popen(runtime.command("run", "-b", bundle.path, "c"), env=with_manager(manager), stdin=subprocess.DEVNULL)
    assert manager.messages(1) == ["READY=1\n"]
    assert manager.is_quiet()
    runtime("kill", "c", "KILL", check=0)
    assert process.wait(timeout=20) == 137
    assert not (runtime.root / "c").exists()


def test_without_a_manager_there_is_nothing(runtime, bundle):
    bundle.run("sh", "-c", "env; ls /run/notify").write()
    done = runtime("run", "-b", bundle.path, "c")
    assert "NOTIFY_SOCKET" not in done.stdout and done.returncode != 0


@pytest.mark.skipif(not pathlib.Path("/run/systemd/system").exists(), reason="systemd is not this host's first process")
def test_systemd_is_such_a_manager(runtime, bundle):
    """A service of Type=notify is up when the container is ready, and its main process is the container's first."""
    bundle.config["linux"]["cgroupsPath"] = f"system.slice:apus:notify{os.getpid()}"
    saying(bundle, "READY=1", pause=0.5)
    unit = f"apus-notify-{os.getpid()}"
    log = runtime.root.parent / "log"
    started = subprocess.run([
        "systemd-run", "--quiet", f"--unit={unit}", "--property=Type=notify", "--property=NotifyAccess=all",
        *runtime.command("--log", log, "--systemd-cgroup", "run", "-d", "-b", bundle.path, "c")],
        capture_output=True, text=True, check=False, timeout=60)
    try:
        status = subprocess.run(["systemctl", "status", unit], capture_output=True, text=True, check=False).stdout
        assert started.returncode == 0, (started.stderr, log.exists() and log.read_text(), status)
        shown = subprocess.check_output(["systemctl", "show", unit, "-p", "MainPID", "-p", "ActiveState"], text=True).split()
        assert set(shown) == {f"MainPID={runtime.state('c')['pid']}", "ActiveState=active"}
    finally:
        runtime("delete", "--force", "c", check=0)
        subprocess.run(["systemctl", "stop", unit], check=False)
