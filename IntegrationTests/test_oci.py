"""The OCI runtime's command line. Everything here is expected of runc too, which runs the same tests where it is installed."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

import oci
from engines import BINARIES

PROGRAMS = {"apus-runtime": BINARIES / "apus-runtime", "runc": shutil.which("runc")}

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="containers need root")


@pytest.fixture(params=PROGRAMS)
def runtime(request, tmp_path):
    program = PROGRAMS[request.param]
    if program is None:
        pytest.skip(f"{request.param} is not installed")
    runtime = oci.Runtime(program, tmp_path)
    yield runtime
    runtime.close()


@pytest.fixture
def bundle(tmp_path):
    return oci.Bundle(tmp_path / "bundle")


def test_life(runtime, bundle, tmp_path):
    bundle.write()
    runtime("create", "--bundle", bundle.path, "--pid-file", tmp_path / "pid", "c", check=0)
    state = runtime.state("c")
    assert state["status"] == "created"
    assert state["id"] == "c" and state["bundle"] == str(bundle.path)
    assert state["pid"] == int((tmp_path / "pid").read_text())
    assert state["rootfs"] == str(bundle.path / "rootfs")
    runtime("start", "c", check=0)
    assert runtime.state("c")["status"] == "running"
    assert pathlib.Path(f"/proc/{state['pid']}/cmdline").read_bytes() == b"sleep\x001000\x00"
    runtime("kill", "c", "KILL", check=0)
    runtime.wait_for("c", "stopped")
    assert runtime.state("c")["pid"] == 0
    runtime("delete", "c", check=0)
    assert runtime("state", "c").returncode == 1
    assert list(runtime.root.glob("[!.]*")) == []


def test_states_refuse_what_does_not_fit(runtime, bundle):
    bundle.write()
    runtime("create", "-b", bundle.path, "c", check=0)
    assert runtime("create", "-b", bundle.path, "c").returncode == 1
    runtime("start", "c", check=0)
    assert "already running" in runtime("start", "c", check=1).stderr
    assert "not stopped: running" in runtime("delete", "c", check=1).stderr
    assert runtime("resume", "c").returncode == 1
    runtime("kill", "c", "KILL", check=0)
    runtime.wait_for("c", "stopped")
    assert "has stopped" in runtime("start", "c", check=1).stderr
    assert "not running" in runtime("kill", "c", check=1).stderr
    assert "stopped container" in runtime("exec", "c", "true", check=255).stderr


def test_created_container_can_be_deleted(runtime, bundle):
    bundle.write()
    runtime("create", "-b", bundle.path, "c", check=0)
    process = runtime.state("c")["pid"]
    runtime("delete", "c", check=0)
    assert not pathlib.Path(f"/proc/{process}/root").exists() or "Z" in pathlib.Path(f"/proc/{process}/stat").read_text()


def test_nobody_to_be_found(runtime):
    for words in (("state", "x"), ("start", "x"), ("kill", "x"), ("delete", "x"), ("pause", "x"), ("ps", "x")):
        assert "does not exist" in runtime(*words, check=1).stderr
    runtime("delete", "--force", "x", check=0)
    assert "does not exist" in runtime("exec", "x", "true", check=255).stderr


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "a\nb"])
def test_names_are_checked(runtime, bundle, name):
    bundle.write()
    assert runtime("create", "-b", bundle.path, name).returncode == 1
    assert not runtime.root.exists() or list(runtime.root.glob("[!.]*")) == []


def test_command_lines_are_checked(runtime):
    done = runtime("create", "--bogus", check=1)
    assert "Incorrect Usage" in done.stdout and "flag provided but not defined: -bogus" in done.stderr
    assert "requires a minimum of 1 argument" in runtime("kill", check=1).stderr
    assert "No help topic for 'frob'" in runtime("frob", check=3).stderr
    assert "spec: " in runtime("--version", check=0).stdout
    assert "USAGE" in runtime("run", "--help", check=0).stdout


def test_errors_go_to_the_log(runtime):
    done = subprocess.run(
        runtime.command("--log", runtime.log, "--log-format", "json", "state", "x"), capture_output=True, text=True,
        check=False)
    assert done.returncode == 1
    assert done.stderr == "container does not exist\n"
    line = json.loads(runtime.log.read_text().splitlines()[-1])
    assert set(line) == {"level", "msg", "time"}
    assert (line["level"], line["msg"]) == ("error", "container does not exist")


def test_run_passes_streams_and_exit_code(runtime, bundle):
    bundle.run("sh", "-c", "cat; echo error >&2; exit 7").write()
    done = subprocess.run(
        runtime.command("run", "-b", bundle.path, "c"), input=b"through", capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, b"through", b"error\n")
    assert runtime("state", "c").returncode == 1


def test_run_reports_signals_as_shells_do(runtime, bundle):
    # Without a process namespace, because a namespace's first process cannot kill itself.
    bundle.config["linux"]["namespaces"] = [n for n in bundle.config["linux"]["namespaces"] if n["type"] != "pid"]
    bundle.run("sh", "-c", "kill -9 $$").write()
    runtime("run", "-b", bundle.path, "c", check=137)


def test_run_passes_signals_on(runtime, bundle):
    bundle.run("sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done").write()
    process = subprocess.Popen(runtime.command("run", "-b", bundle.path, "c"), stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 9
    process.stdout.close()


def test_missing_programs(runtime, bundle):
    bundle.run("no-such-program").write()
    assert "executable file not found in $PATH" in runtime("create", "-b", bundle.path, "c", check=1).stderr
    assert "executable file not found in $PATH" in runtime("run", "-b", bundle.path, "c", check=1).stderr
    bundle.run("/no/such/program").write()
    assert "no such file or directory" in runtime("run", "-b", bundle.path, "c", check=1).stderr
    assert not runtime.root.exists() or list(runtime.root.glob("[!.]*")) == []


def test_exec(runtime, bundle):
    bundle.write()
    runtime("run", "-d", "-b", bundle.path, "c", check=0)
    assert runtime("exec", "c", "sh", "-c", "echo $A; pwd; exit 3", check=3).stdout == "\n/\n"
    done = runtime("exec", "--env", "A=b", "--cwd", "/tmp", "--user", "12:34", "c", "sh", "-c", "echo $A; pwd; id -u; id -g")
    assert done.stdout == "b\n/tmp\n12\n34\n"
    assert "executable file not found" in runtime("exec", "c", "no-such-program", check=255).stderr
    # Options after the program are the program's.
    assert runtime("exec", "c", "echo", "--cwd", "-t", check=0).stdout == "--cwd -t\n"


def test_exec_of_a_file(runtime, bundle, tmp_path):
    bundle.write()
    runtime("run", "-d", "-b", bundle.path, "c", check=0)
    process = {"args": ["sh", "-c", "echo $0 $X; exit 4"], "cwd": "/", "env": ["PATH=/bin", "X=y"], "user": {"uid": 0, "gid": 0}}
    (tmp_path / "process.json").write_text(json.dumps(process))
    assert runtime("exec", "--process", tmp_path / "process.json", "c", check=4).stdout == "sh y\n"


def test_detached_exec(runtime, bundle, tmp_path):
    bundle.write()
    runtime("run", "-d", "-b", bundle.path, "c", check=0)
    runtime("exec", "-d", "--pid-file", tmp_path / "pid", "c", "sleep", "999", check=0)
    process = int((tmp_path / "pid").read_text())
    # runc returns before the program runs.
    deadline = time.monotonic() + 20
    while not runtime.is_ours and b"runc" in pathlib.Path(f"/proc/{process}/cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert pathlib.Path(f"/proc/{process}/cmdline").read_bytes() == b"sleep\x00999\x00"
    assert process in json.loads(runtime("ps", "--format", "json", "c", check=0).stdout)
    assert "sleep 999" in runtime("ps", "c", check=0).stdout


def test_signals_by_name_and_number(runtime, bundle):
    for word in ("TERM", "SIGTERM", "15", None):
        bundle.run("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done").write()
        runtime("run", "-d", "-b", bundle.path, "c", check=0)
        time.sleep(0.2)
        assert runtime("kill", "c", "NONSENSE").returncode == 1
        runtime("kill", "c", *([word] if word else []), check=0)
        runtime.wait_for("c", "stopped")
        runtime("delete", "c", check=0)


def test_pause(runtime, bundle):
    bundle.write()
    runtime("run", "-d", "-b", bundle.path, "c", check=0)
    runtime("pause", "c", check=0)
    assert runtime.state("c")["status"] == "paused"
    assert "paused" in runtime("exec", "c", "true", check=255).stderr
    runtime("resume", "c", check=0)
    assert runtime.state("c")["status"] == "running"
    runtime("exec", "c", "true", check=0)
    runtime("pause", "c", check=0)
    runtime("delete", "--force", "c", check=0)
    assert runtime("state", "c").returncode == 1


def test_list(runtime, bundle):
    assert runtime("list", "-q", check=0).stdout == ""
    bundle.write()
    runtime("create", "-b", bundle.path, "c", check=0)
    assert runtime("list", "-q", check=0).stdout == "c\n"
    (entry,) = json.loads(runtime("list", "--format", "json", check=0).stdout)
    state = runtime.state("c")
    assert entry == {**state, "owner": "root"}
    head, line = runtime("list", check=0).stdout.splitlines()
    assert head.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert line.split() == ["c", str(state["pid"]), "created", state["bundle"], state["created"], "root"]
    assert head.index("PID") == line.index(str(state["pid"]))


def limit(bundle, controller, file):
    path = bundle.config["linux"]["cgroupsPath"]
    for directory in (f"/sys/fs/cgroup/{controller}{path}", f"/sys/fs/cgroup{path}"):
        if (pathlib.Path(directory) / file).exists():
            return (pathlib.Path(directory) / file).read_text().strip()
    return None


def test_update(runtime, bundle):
    bundle.write()
    runtime("run", "-d", "-b", bundle.path, "c", check=0)
    runtime("update", "--memory", "64M", "--pids-limit", "20", "c", check=0)
    assert "67108864" in (limit(bundle, "memory", "memory.limit_in_bytes"), limit(bundle, "memory", "memory.max"))
    assert limit(bundle, "pids", "pids.max") == "20"
    resources = {"memory": {"limit": 33554432}, "cpu": {"shares": 0, "quota": 50000, "period": 100000}}
    subprocess.run(
        runtime.command("update", "--resources", "-", "c"), input=json.dumps(resources).encode(), check=True, timeout=60)
    assert "33554432" in (limit(bundle, "memory", "memory.limit_in_bytes"), limit(bundle, "memory", "memory.max"))
    assert limit(bundle, "pids", "pids.max") == "20"
    assert runtime("update", "--memory", "lots", "c").returncode == 1


def test_statistics(runtime, bundle):
    bundle.write()
    runtime("run", "-d", "-b", bundle.path, "c", check=0)
    event = json.loads(runtime("events", "--stats", "c", check=0).stdout)
    assert (event["type"], event["id"]) == ("stats", "c")
    assert event["data"]["pids"]["current"] == 1
    assert event["data"]["memory"]["usage"]["usage"] > 0
    assert event["data"]["cpu"]["usage"]["total"] > 0


def test_terminal_by_socket(runtime, bundle, tmp_path):
    bundle.run("sh", "-c", "tty; stty size; read x; echo got $x", terminal=True, consoleSize={"height": 11, "width": 22}).write()
    assert "console socket" in runtime("create", "-b", bundle.path, "c", check=1).stderr
    server = oci.ConsoleSocket(tmp_path / "s")
    runtime("create", "-b", bundle.path, "--console-socket", server.path, "c", check=0)
    name, master = server.receive()
    assert name.startswith("/dev/")
    runtime("start", "c", check=0)
    shown = oci.read_terminal(master, b"11 22")
    os.write(master, b"hello\n")
    shown += oci.read_terminal(master, b"got hello")
    os.close(master)
    assert b"/dev/pts/0" in shown and b"11 22" in shown and b"got hello" in shown


def test_terminal_of_exec(runtime, bundle, tmp_path):
    bundle.write()
    runtime("run", "-d", "-b", bundle.path, "c", check=0)
    server = oci.ConsoleSocket(tmp_path / "s")
    runtime("exec", "-t", "-d", "--console-socket", server.path, "c", "sh", "-c", "tty; sleep 0.1; echo end", check=0)
    _, master = server.receive()
    assert b"/dev/pts/" in oci.read_terminal(master, b"end")
    os.close(master)


def test_preserved_descriptors(runtime, bundle):
    # A shell's redirection, because busybox cannot list more than what is there.
    bundle.run("sh", "-c", "cat <&3; ls /proc/self/fd").write()
    reader, writer = os.pipe()
    os.write(writer, b"by descriptor\n")
    os.close(writer)
    # Not sh: dash knows no descriptors above 9.
    script = f"exec 3<&{reader}; exec {reader}<&-; exec \"$@\""
    command = ["bash", "-c", script, "bash", *runtime.command("run", "--preserve-fds", "1", "-b", bundle.path, "c")]
    done = subprocess.run(command, pass_fds=[reader], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True)
    os.close(reader)
    lines = done.stdout.splitlines()
    assert lines[0] == "by descriptor"
    assert "3" in lines and len(lines) <= 6
    runtime("run", "--preserve-fds", "100", "-b", bundle.path, "d", check=1)


def test_nothing_of_the_caller_leaks(runtime, bundle):
    bundle.run("sh", "-c", "ls -l /proc/self/fd").write()
    reader, writer = os.pipe()
    done = subprocess.run(
        runtime.command("run", "-b", bundle.path, "c"), pass_fds=[reader, writer], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60, check=True)
    os.close(reader)
    os.close(writer)
    numbers = {int(line.split(" -> ")[0].split()[-1]) for line in done.stdout.splitlines() if " -> " in line}
    assert numbers <= {0, 1, 2, 3}


def test_hooks_get_the_state_in_order(runtime, bundle, tmp_path):
    trace = tmp_path / "trace"
    trace.touch()
    (bundle.path / "rootfs" / "host" / "trace").touch()
    bundle.config["mounts"].append(
        {"destination": "/host/trace", "type": "bind", "source": str(trace), "options": ["bind", "rw"]})

    def hook(kind, file=trace):
        script = f"read -r state; echo \"{kind} $X $state\" >> {file}"
        return [{"path": "/bin/sh", "args": ["sh", "-c", script], "env": [f"X={kind}-x"], "timeout": 20}]

    kinds = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
    bundle.config["hooks"] = {kind: hook(kind) for kind in kinds}
    # The one that runs in the container's own tree.
    bundle.config["hooks"]["startContainer"] = hook("startContainer", "/host/trace")
    bundle.config["annotations"] = {"a.b": "c"}
    bundle.run("true").write()
    runtime("run", "-b", bundle.path, "c", check=0)
    lines = [line.split(" ", 2) for line in trace.read_text().splitlines()]
    if runtime.is_ours:
        # runc runs poststart too early.
        assert [line[0] for line in lines] == kinds
    assert sorted(line[0] for line in lines) == sorted(kinds)
    assert all(line[1] == f"{line[0]}-x" for line in lines)
    states = {line[0]: json.loads(line[2]) for line in lines}
    assert all(state["id"] == "c" and state["bundle"] == str(bundle.path) for state in states.values())
    assert all(state["annotations"]["a.b"] == "c" for state in states.values())
    assert states["prestart"]["status"] == "creating" and states["poststop"]["status"] == "stopped"
    if runtime.is_ours:
        assert states["poststart"]["status"] == "running"


def test_failing_hooks_stop_the_creation(runtime, bundle):
    for kind in ("prestart", "createRuntime"):
        bundle.config["hooks"] = {kind: [{"path": "/bin/sh", "args": ["sh", "-c", "echo why >&2; exit 5"]}]}
        bundle.write()
        assert "why" in runtime("create", "-b", bundle.path, "c", check=1).stderr
        assert runtime("state", "c").returncode == 1
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1}]}
    bundle.write()
    assert runtime("create", "-b", bundle.path, "c").returncode == 1


def test_specification(runtime, tmp_path):
    runtime("spec", check=0, cwd=tmp_path)
    spec = json.loads((tmp_path / "config.json").read_text())
    assert spec["process"]["args"] == ["sh"] and spec["root"] == {"path": "rootfs", "readonly": True}
    assert "exists" in runtime("spec", check=1, cwd=tmp_path).stderr
    (tmp_path / "other").mkdir()
    runtime("spec", "--rootless", "--bundle", tmp_path / "other", check=0)
    spec = json.loads((tmp_path / "other" / "config.json").read_text())
    assert {"type": "user"} in spec["linux"]["namespaces"]


def test_features(runtime):
    features = json.loads(runtime("features", check=0).stdout)
    assert features["ociVersionMin"] == "1.0.0"
    assert "createRuntime" in features["hooks"]
    assert {"bind", "ro", "rslave"} <= set(features["mountOptions"])
    assert {"pid", "mount", "user"} <= set(features["linux"]["namespaces"])
    assert "SCMP_ACT_ERRNO" in features["linux"]["seccomp"]["actions"]


def test_malformed_configurations_leave_nothing(runtime, bundle):
    for text in ("", "{", "[]", "{\"ociVersion\": 1}", "{\"ociVersion\":\"9.9.9\"}", "{\"ociVersion\":\"1.0.0\"}"):
        (bundle.path / "config.json").write_text(text)
        assert runtime("create", "-b", bundle.path, "c").returncode == 1
    (bundle.path / "config.json").unlink()
    assert "config.json" in runtime("create", "-b", bundle.path, "c", check=1).stderr
    assert not runtime.root.exists() or list(runtime.root.glob("[!.]*")) == []


def test_foreground_container_can_be_managed(runtime, bundle):
    bundle.run("sh", "-c", "echo ready; sleep 1000").write()
    process = subprocess.Popen(runtime.command("run", "-b", bundle.path, "c"), stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    runtime("pause", "c", check=0)
    runtime("resume", "c", check=0)
    runtime("update", "--pids-limit", "30", "c", check=0)
    runtime("delete", "--force", "c", check=0)
    assert process.wait(timeout=20) == 137
    process.stdout.close()
    assert runtime("state", "c").returncode == 1


def test_a_killed_creation_can_be_deleted(runtime, bundle):
    if not runtime.is_ours:
        pytest.skip("runc leaves a control group behind")
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "1000"]}]}
    bundle.write()
    process = subprocess.Popen(
        runtime.command("create", "-b", bundle.path, "c"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 20
    while runtime("state", "c").returncode != 0:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    runtime("delete", "--force", "c", check=0)
    assert runtime("state", "c").returncode == 1
    assert limit(bundle, "pids", "pids.max") is None


def test_a_container_of_half_a_mebibyte_starts(runtime, bundle):
    if not runtime.is_ours:
        pytest.skip("runc's own set-up needs more")
    bundle.config["linux"]["resources"]["memory"] = {"limit": 512 << 10}
    bundle.run("echo", "up").write()
    for _ in range(5):
        assert runtime("run", "-b", bundle.path, "c", check=0).stdout == "up\n"
    bundle.run("sleep", "1000").write()
    runtime("create", "-b", bundle.path, "c", check=0)
    runtime("start", "c", check=0)
    assert runtime.state("c")["status"] == "running"
    assert "524288" in (limit(bundle, "memory", "memory.limit_in_bytes"), limit(bundle, "memory", "memory.max"))


def test_a_missing_working_directory_is_made(runtime, bundle):
    bundle.config["root"]["readonly"] = True
    bundle.run("pwd", cwd="/new/below").write()
    assert runtime("run", "-b", bundle.path, "c", check=0).stdout == "/new/below\n"


def test_a_link_that_leads_nowhere_yet_is_followed(runtime, bundle, tmp_path):
    root = bundle.path / "rootfs"
    (root / "var").mkdir()
    (root / "var" / "deep").mkdir()
    (root / "linked").symlink_to("var/deep")
    (root / "var" / "deep" / "file").symlink_to("../made/here")
    (root / "etc" / "outside").symlink_to("../../../../made/outside")
    (tmp_path / "source").write_text("shown\n")
    for destination in ("/linked/file", "/etc/outside"):
        bundle.config["mounts"].append({"destination": destination, "type": "bind", "source": str(tmp_path / "source"),
                                        "options": ["bind", "ro"]})
    bundle.run("cat", "/var/made/here", "/made/outside").write()
    assert runtime("run", "-b", bundle.path, "c", check=0).stdout == "shown\nshown\n"
    (root / "round").symlink_to("round")
    bundle.config["mounts"].append({"destination": "/round", "type": "bind", "source": str(tmp_path / "source"), "options": ["bind"]})
    bundle.write()
    runtime("run", "-b", bundle.path, "c", check=1)


def test_sources_that_only_the_hosts_root_may_reach(runtime, bundle, tmp_path):
    if not runtime.is_ours:
        pytest.skip("runc wants a root file system that the mapped root may reach in another way")
    (tmp_path / "private").mkdir(mode=0o700)
    (tmp_path / "private" / "source").mkdir(mode=0o755)
    (tmp_path / "private" / "source" / "file").write_text("shown\n")
    for parent in (bundle.path, *bundle.path.parents):
        if parent.stat().st_mode & 0o001 == 0:
            parent.chmod(parent.stat().st_mode | 0o011)
    bundle.config["linux"]["namespaces"].append({"type": "user"})
    for kind in ("uidMappings", "gidMappings"):
        bundle.config["linux"][kind] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    bundle.config["mounts"].append(
        {"destination": "/host", "type": "bind", "source": str(tmp_path / "private" / "source"), "options": ["rbind", "ro"]})
    bundle.run("cat", "/host/file").write()
    assert runtime("run", "-b", bundle.path, "c", check=0).stdout == "shown\n"


def test_hooks_without_an_environment_have_the_callers(runtime, bundle, tmp_path):
    script = f"echo \"$MARK\" >> {tmp_path}/seen"
    bundle.config["hooks"] = {
        "createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}],
        "poststop": [{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["MARK=own"]}]
    }
    bundle.run("true").write()
    runtime("run", "-b", bundle.path, "c", check=0, env={**os.environ, "MARK": "callers"})
    assert (tmp_path / "seen").read_text() == "callers\nown\n"


def test_the_host_name_is_no_sysctl(runtime, bundle):
    bundle.config["linux"]["sysctl"] = {"kernel.hostname": "other"}
    bundle.write()
    assert "kernel.hostname" in runtime("create", "-b", bundle.path, "c", check=1).stderr


def test_a_creation_killed_before_its_record_leaves_no_group(runtime, bundle):
    if not runtime.is_ours:
        pytest.skip("runc leaves a control group behind")
    group = bundle.config["linux"]["cgroupsPath"]
    bundle.write()
    runtime("run", "-b", bundle.run("true").write().path, "warm", check=0)
    top = pathlib.Path("/sys/fs/cgroup")
    hierarchies = [top] if (top / "cgroup.controllers").exists() else [top / "memory", top / "pids"]
    for hierarchy in hierarchies:
        pathlib.Path(f"{hierarchy}{group}").mkdir()
    (runtime.root / "c").mkdir(mode=0o700)
    (runtime.root / "c" / "cgroup").symlink_to(group.lstrip("/"))
    assert "does not exist" in runtime("delete", "c", check=1).stderr
    runtime("delete", "--force", "c", check=0)
    assert not (runtime.root / "c").exists()
    assert not any(pathlib.Path(f"{hierarchy}{group}").exists() for hierarchy in hierarchies)


def test_rootless_is_a_choice_of_three(runtime):
    if not runtime.is_ours:
        pytest.skip("runc's message is another")
    assert "--rootless" in runtime("--rootless", "maybe", "list", check=1).stderr
    for choice in ("true", "false", "auto"):
        runtime("--rootless", choice, "list", check=0)


def test_no_group_is_left_that_nobody_asked_for(runtime, bundle):
    if not runtime.is_ours:
        pytest.skip("about where our groups are")
    del bundle.config["linux"]["cgroupsPath"]
    bundle.write()
    runtime("run", "-d", "-b", bundle.path, "c", check=0)
    lines = pathlib.Path(f"/proc/{runtime.state('c')['pid']}/cgroup").read_text().splitlines()
    group = next(line.split(":", 2)[2] for line in lines if line.endswith("apus-runtime/c"))
    places = [place for place in pathlib.Path("/sys/fs/cgroup").glob("*/") if (place / group[1:]).is_dir()]
    places = places or [pathlib.Path("/sys/fs/cgroup")]
    runtime("delete", "--force", "c", check=0)
    for place in places:
        parent = (place / group[1:]).parent
        # Another's containers may be there.
        assert not parent.exists() or any(path.is_dir() for path in parent.iterdir()), parent
