"""The daemon's side of the sandbox protocol, as far as tests of the shim need it."""

import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import time

KINDS = {
    "create": 1, "start": 2, "attach": 3, "exec": 4, "resize": 5, "signal": 6, "pause": 7, "resume": 8, "update": 9,
    "stats": 10, "processes": 11, "state": 12, "subscribe": 13, "destroy": 14, "ok": 32, "error": 33, "exited": 48,
    "execExited": 49, "oom": 50, "stdin": 64, "stdout": 65, "stderr": 66, "closeStdin": 67, "end": 68,
}
NAMES = {number: name for name, number in KINDS.items()}
CGROUP_PARENT = f"apus-test-{os.getpid()}"


class Failed(Exception):
    """An error reply."""

    def __init__(self, payload):
        super().__init__(payload["message"])
        self.code = payload["code"]
        self.exit_status = payload.get("exitStatus")


class Connection:
    def __init__(self, sock):
        self.socket = sock
        self.buffer = b""
        self.tag = 0
        self.queue = []

    def send(self, kind, tag=0, payload=b""):
        if not isinstance(payload, bytes):
            payload = json.dumps(payload).encode()
        kind = KINDS.get(kind, kind)
        self.socket.sendall(struct.pack("<IBBH", len(payload), kind, 0, tag) + payload)

    def receive(self, timeout=10):
        """The next frame as (kind, tag, payload); None at the end of the connection."""
        deadline = time.monotonic() + timeout
        while True:
            if len(self.buffer) >= 8:
                length, kind, zero, tag = struct.unpack("<IBBH", self.buffer[:8])
                assert zero == 0 and length <= 1 << 20
                if len(self.buffer) >= 8 + length:
                    payload = self.buffer[8:8 + length]
                    self.buffer = self.buffer[8 + length:]
                    return NAMES[kind], tag, payload
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                raise TimeoutError(f"no frame within {timeout} s; {len(self.buffer)} bytes pending")
            try:
                chunk = self.socket.recv(1 << 18)
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                return None
            self.buffer += chunk

    def request(self, kind, payload=b"", timeout=10):
        """Sends a request and returns its answer; whatever else arrives meanwhile waits in the queue."""
        self.tag += 1
        tag = self.tag
        self.send(kind, tag, payload)
        while True:
            frame = self.receive(timeout)
            if frame is None:
                raise ConnectionError(f"{kind}: the connection ended")
            if frame[1] == tag and frame[0] in ("ok", "error"):
                break
            self.queue.append(frame)
        answer = json.loads(frame[2]) if frame[2] else {}
        if frame[0] == "error":
            raise Failed(answer)
        return answer

    def frames(self, until=None, timeout=10):
        """Frames up to and including the first of the kind `until`, or up to the end of the connection."""
        frames = []
        while True:
            frame = self.queue.pop(0) if self.queue else self.receive(timeout)
            if frame is None:
                return frames
            frames.append(frame)
            if frame[0] == until:
                return frames

    def output(self, until="end", timeout=10):
        """stdout, stderr and the exit code of a stream."""
        out, err, code = b"", b"", None
        for kind, _, payload in self.frames(until, timeout):
            if kind == "stdout":
                out += payload
            elif kind == "stderr":
                err += payload
            elif kind == "execExited":
                code = json.loads(payload)["exitCode"]
        return out, err, code

    def read_until(self, needle, timeout=10):
        """stdout up to and including `needle`."""
        out = b""
        while needle not in out:
            frame = self.queue.pop(0) if self.queue else self.receive(timeout)
            assert frame is not None, out
            if frame[0] == "stdout":
                out += frame[2]
        return out

    def close(self):
        self.socket.close()


def make_root(directory):
    """A root file system of one static busybox."""
    os.makedirs(f"{directory}/bin", exist_ok=True)
    for name in ("dev", "proc", "sys", "tmp", "etc", "root"):
        os.makedirs(f"{directory}/{name}", exist_ok=True)
    shutil.copy("/bin/busybox", f"{directory}/bin/busybox")
    for applet in subprocess.check_output(["/bin/busybox", "--list"], text=True).split():
        if applet != "busybox" and not os.path.lexists(f"{directory}/bin/{applet}"):
            os.symlink("busybox", f"{directory}/bin/{applet}")
    with open(f"{directory}/etc/passwd", "w") as file:
        file.write("root:x:0:0::/root:/bin/sh\nguest:x:1000:1000::/tmp:/bin/sh\n")
    with open(f"{directory}/etc/group", "w") as file:
        file.write("root:x:0:\nguest:x:1000:\naudio:x:29:guest\n")
    return directory


def specification(identifier, arguments, terminal=False, **process):
    return {
        "ociVersion": "1.2.0",
        "process": {
            "terminal": terminal, "user": {"uid": 0, "gid": 0}, "args": arguments, "cwd": "/",
            "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"], **process,
        },
        "root": {"path": "/"},
        "hostname": "test",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
        ],
        "linux": {
            "cgroupsPath": f"{CGROUP_PARENT}/{identifier}",
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")],
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        },
    }


class Process:
    """A child with one descriptor, as number 3, besides the standard ones; the daemon starts shims like this."""

    def __init__(self, path, arguments, descriptor):
        self.pid = os.posix_spawn(
            path, [path] + arguments, {}, file_actions=[(os.POSIX_SPAWN_DUP2, descriptor, 3)], setsid=True)
        self.status = None

    def poll(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def wait(self, timeout=10):
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {self.pid} did not end within {timeout} s")
            time.sleep(0.001)
        return self.status

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


class Shim:
    """A shim process and the connection it was started with."""

    def __init__(self, runtime, identifier, directory, lower):
        self.identifier = identifier
        self.directory = directory
        self.lower = lower
        for name in ("upper", "work"):
            os.makedirs(f"{directory}/{name}", exist_ok=True)
        self.socket_path = f"{directory}/shim.sock"
        self.exit_path = f"{directory}/exit"
        self.log_path = f"{directory}/log"
        ours, theirs = socket.socketpair()
        self.process = Process(runtime, ["shim", identifier], theirs.fileno())
        theirs.close()
        self.connection = Connection(ours)

    def create(self, arguments, terminal=False, process=None, log=True, **request):
        spec = specification(self.identifier, arguments, terminal, **(process or {}))
        spec["linux"]["resources"].update(request.pop("resources", {}))
        message = {
            "id": self.identifier, "spec": spec,
            "root": {"lower": [self.lower], "upper": f"{self.directory}/upper", "work": f"{self.directory}/work"},
            "exitPath": self.exit_path, "socketPath": self.socket_path, **request,
        }
        if log is True:
            log = {"path": self.log_path, "maxSize": 0, "maxFiles": 1}
        if log:
            message["log"] = log
        return self.connection.request("create", message)["pid"]

    def start(self):
        return self.connection.request("start")

    def connect(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(self.socket_path)
        return Connection(sock)

    def attach(self, connection=None, stdin=False, stdout=True, stderr=True):
        connection = connection or self.connect()
        connection.request("attach", {"stdin": stdin, "stdout": stdout, "stderr": stderr})
        return connection

    def exec(self, name, arguments, stdin=False, stdout=True, stderr=True, terminal=False, connection=None, **request):
        connection = connection or self.connect()
        process = {"terminal": terminal, "user": {"uid": 0, "gid": 0}, "args": arguments, "cwd": "/",
                   "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]}
        connection.pid = connection.request("exec", {
            "id": name, "process": process, "stdin": stdin, "stdout": stdout, "stderr": stderr, **request})["pid"]
        return connection

    def log(self):
        """The entries of all log files, the oldest first."""
        names = sorted((name for name in os.listdir(self.directory) if name == "log" or name.startswith("log.")),
                       key=lambda name: -int((name.split(".") + ["0"])[1]))
        entries = []
        for name in names:
            with open(f"{self.directory}/{name}") as file:
                entries += [json.loads(line) for line in file]
        return entries

    def text(self, stream="stdout"):
        return "".join(entry["log"] for entry in self.log() if entry["stream"] == stream)

    def wait(self, timeout=10):
        """Waits for the shim's own end and returns the container's exit record."""
        assert self.process.wait(timeout) == 0
        with open(self.exit_path) as file:
            return json.load(file)

    def cleanup(self):
        if self.process.poll() is None:
            try:
                self.connection.socket.close()
                connection = self.connect()
                connection.request("destroy")
                connection.close()
                self.process.wait(5)
            except (OSError, Failed):
                pass
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self.connection.close()


def cgroups(name):
    """The cgroup directories that exist for a container, in every hierarchy."""
    root = "/sys/fs/cgroup"
    hierarchies = [root] if os.path.exists(f"{root}/cgroup.controllers") else [
        f"{root}/{entry}" for entry in os.listdir(root)]
    found = (f"{hierarchy}/{CGROUP_PARENT}/{name}" for hierarchy in hierarchies)
    return [path for path in found if os.path.isdir(path)]


def remove_cgroup_parent():
    root = "/sys/fs/cgroup"
    for path in [f"{root}/{CGROUP_PARENT}"] + [f"{root}/{entry}/{CGROUP_PARENT}" for entry in os.listdir(root)]:
        try:
            os.rmdir(path)
        except OSError:
            pass
