"""Bundles of busybox, and an OCI runtime's command line to run them by."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import time
import uuid

BUSYBOX = pathlib.Path("/bin/busybox")
APPLETS = "sh sleep cat echo true false ls id ps kill env tty stty pwd head tail stat readlink mount ulimit".split()
CAPABILITIES = ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SETGID"]


class Bundle:
    """A directory with a configuration and a root. The configuration is written before each use."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        binaries = self.path / "rootfs" / "bin"
        binaries.mkdir(parents=True)
        for directory in ("proc", "sys", "dev", "tmp", "etc", "host"):
            (self.path / "rootfs" / directory).mkdir()
        shutil.copy(BUSYBOX, binaries / "busybox")
        for applet in APPLETS:
            (binaries / applet).symlink_to("busybox")
        strict = ["nosuid", "noexec", "nodev"]
        self.config = {
            "ociVersion": "1.0.2",
            "process": {
                "terminal": False, "user": {"uid": 0, "gid": 0}, "args": ["sleep", "1000"], "env": ["PATH=/bin", "TERM=xterm"],
                "cwd": "/", "noNewPrivileges": True,
                "capabilities": {kind: CAPABILITIES for kind in ("bounding", "effective", "permitted")}
            },
            "root": {"path": "rootfs", "readonly": True},
            "hostname": "bundle",
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                 "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
                {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                 "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
                {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*strict, "ro"]},
            ],
            "linux": {
                "cgroupsPath": f"/apus-test-oci/{uuid.uuid4().hex}",
                "resources": {"devices": [{"allow": False, "access": "rwm"}]},
                "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")],
                "maskedPaths": ["/proc/kcore", "/sys/firmware"], "readonlyPaths": ["/proc/sys"]
            },
        }

    def run(self, *arguments, **process):
        """Changes the program, and fields of the process."""
        self.config["process"].update(args=list(arguments), **process)
        return self

    def write(self):
        (self.path / "config.json").write_text(json.dumps(self.config))
        return self


class Runtime:
    """A runtime with a state directory of its own; its containers end with it."""

    def __init__(self, program, directory):
        self.program = str(program)
        self.is_ours = pathlib.Path(program).name == "apus-runtime"
        self.root = pathlib.Path(directory) / "state"
        self.log = pathlib.Path(directory) / "log.json"

    def command(self, *words):
        return [self.program, "--root", str(self.root), *map(str, words)]

    def __call__(self, *words, check=None, **options):
        """Runs a command to its end. Output goes to files: a container would hold a pipe open."""
        options.setdefault("stdin", subprocess.DEVNULL)
        out, err = self.root.parent / "stdout", self.root.parent / "stderr"
        with open(out, "w+b") as stdout, open(err, "w+b") as stderr:
            status = subprocess.run(
                self.command(*words), stdout=stdout, stderr=stderr, timeout=60, check=False, **options).returncode
        done = subprocess.CompletedProcess(
            words, status, out.read_text(errors="replace"), err.read_text(errors="replace"))
        assert check is None or done.returncode == check, done
        return done

    def state(self, name):
        return json.loads(self("state", name, check=0).stdout)

    def wait_for(self, name, status):
        deadline = time.monotonic() + 20
        while self.state(name)["status"] != status:
            assert time.monotonic() < deadline, self.state(name)
            time.sleep(0.02)

    def close(self):
        if self.root.exists():
            for name in os.listdir(self.root):
                self("delete", "--force", name)
        for parent in pathlib.Path("/sys/fs/cgroup").glob("*/apus-test-oci"):
            try:
                parent.rmdir()
            except OSError:
                # Another test's containers.
                continue


class ConsoleSocket:
    """Where a runtime sends the master of a terminal."""

    def __init__(self, path):
        self.path = str(path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(1)
        self.listener.settimeout(20)

    def receive(self):
        connection, _ = self.listener.accept()
        with connection:
            name, descriptors, _, _ = socket.recv_fds(connection, 4096, 1)
        self.listener.close()
        return name.decode(), descriptors[0]


def read_terminal(master, until):
    """What a terminal shows, up to a text."""
    text = b""
    while until not in text:
        try:
            text += os.read(master, 4096)
        except OSError:
            break
    return text
