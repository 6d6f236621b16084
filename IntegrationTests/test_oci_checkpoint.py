"""checkpoint and restore: what criu is asked for. A double takes its place, because few kernels get along with Debian's."""

import json
import os
import stat
import sys

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
