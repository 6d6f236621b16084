"""AppArmor, where the kernel has it: the default profile is in force, and denies what nothing else here would."""

import os
import pathlib
import shutil
import subprocess

import pytest

import oci
from engines import BINARIES, IMAGE, REPOSITORY

PROFILE = REPOSITORY / "Sources/Engine/Specification/apus-default.apparmor"
NAME = "apus-default-test"
ENABLED = pathlib.Path("/sys/module/apparmor/parameters/enabled")

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="containers need root"),
    pytest.mark.skipif(
        not ENABLED.exists() or ENABLED.read_text().strip() != "Y", reason="AppArmor is not enabled in this kernel"),
    pytest.mark.skipif(shutil.which("apparmor_parser") is None, reason="apparmor_parser is not installed"),
]


def load(text, option="--replace"):
    subprocess.run(["apparmor_parser", "--skip-cache", option], input=text.encode(), check=True, timeout=60)


@pytest.fixture(scope="module")
def profile():
    """The default profile, under a name of its own: another engine's containers may be confined by the real one."""
    text = PROFILE.read_text().replace("apus-default", NAME)
    load(text)
    yield NAME
    load(text, "--remove")


@pytest.fixture
def runtime(tmp_path):
    runtime = oci.Runtime(BINARIES / "apus-runtime", tmp_path)
    yield runtime
    runtime.close()


@pytest.fixture
def bundle(tmp_path):
    """With rights enough that nothing but the profile stands in the way."""
    bundle = oci.Bundle(tmp_path / "bundle")
    for applet in ("umount", "mkdir", "grep", "nc", "dd", "mknod"):
        link = bundle.path / "rootfs" / "bin" / applet
        if not link.exists():
            link.symlink_to("busybox")
    rights = ["CAP_SYS_ADMIN", "CAP_SYS_RAWIO", "CAP_SYS_PTRACE", "CAP_NET_ADMIN", *oci.CAPABILITIES]
    bundle.config["process"]["capabilities"] = {kind: rights for kind in ("bounding", "effective", "permitted")}
    bundle.config["root"]["readonly"] = False
    bundle.config["linux"].update(maskedPaths=[], readonlyPaths=[])
    next(m for m in bundle.config["mounts"] if m["destination"] == "/sys")["options"].remove("ro")
    return bundle


def outcome(runtime, bundle, script, profile):
    """How a shell's command goes in a container with the profile: its exit code and what it says."""
    bundle.run("sh", "-c", f"({script}) 2>&1", apparmorProfile=profile).write()
    done = runtime("run", "-b", bundle.path, "c")
    return done.returncode, done.stdout


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_profile_is_enforced(runtime, bundle, profile, no_new_privileges):
    bundle.config["process"]["noNewPrivileges"] = no_new_privileges
    enforced = f"{profile} (enforce)"
    bundle.run("sh", "-c", "cat /proc/self/attr/current; sleep 1000", apparmorProfile=profile).write()
    runtime("run", "-d", "-b", bundle.path, "c", check=0)
    process = runtime.state("c")["pid"]
    assert pathlib.Path(f"/proc/{process}/attr/current").read_text().strip() == enforced
    # A further process has the container's profile, unless it is given another.
    assert runtime("exec", "c", "cat", "/proc/self/attr/current", check=0).stdout.strip() == enforced
    named = runtime("exec", "--apparmor", profile, "c", "cat", "/proc/self/attr/current", check=0)
    assert named.stdout.strip() == enforced
    if not no_new_privileges:
        bare = runtime("exec", "--apparmor", "unconfined", "c", "cat", "/proc/self/attr/current", check=0)
        assert bare.stdout.strip() == "unconfined"


def test_process_of_a_file_has_the_profile_it_names(runtime, bundle, profile, tmp_path):
    bundle.run("sleep", "1000").write()
    runtime("run", "-d", "-b", bundle.path, "c", check=0)
    (tmp_path / "process.json").write_text(
        '{"args": ["cat", "/proc/self/attr/current"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0},'
        f' "apparmorProfile": "{profile}"}}')
    done = runtime("exec", "--process", tmp_path / "process.json", "c", check=0)
    assert done.stdout.strip() == f"{profile} (enforce)"


def test_profile_that_is_not_loaded(runtime, bundle):
    bundle.run("true", apparmorProfile="no-such-profile").write()
    assert "no-such-profile" in runtime("create", "-b", bundle.path, "c", check=1).stderr
    assert runtime("state", "c").returncode == 1


#: What works for such a container without the profile, and with it is denied.
DENIED = {
    "mount": "mount -t tmpfs x /tmp",
    "bind": "mount -o bind /etc /tmp",
    "remount": "mount -o remount,ro /dev",
    "sysrq": "echo h > /proc/sysrq-trigger",
    "sysctl": "echo name > /proc/sys/kernel/domainname",
    "network sysctl": "echo 1 > /proc/sys/net/ipv4/ip_forward",
    "kcore": "head -c 1 /proc/kcore > /dev/null",
    "device setting": "read x < /sys/block/vda/queue/nr_requests && echo $x > /sys/block/vda/queue/nr_requests",
    "policy": "cat /sys/kernel/security/apparmor/profiles",
}


@pytest.mark.parametrize("what", DENIED)
def test_denies(runtime, bundle, profile, what):
    if what == "policy":
        bundle.config["mounts"].append(
            {"destination": "/sys/kernel/security", "type": "securityfs", "source": "securityfs", "options": []})
    if what == "device setting" and not os.path.exists("/sys/block/vda/queue"):
        pytest.skip("there is no such disk here")
    code, said = outcome(runtime, bundle, DENIED[what], "unconfined")
    assert code == 0, said
    code, said = outcome(runtime, bundle, DENIED[what], profile)
    assert code != 0 and "Permission denied" in said, said


#: What a container does every day.
ALLOWED = {
    "files": "echo x > /tmp/x && cat /tmp/x && mkdir /tmp/d && ls /tmp/d /proc /sys",
    "own process": "echo 500 > /proc/self/oom_score_adj && cat /proc/self/oom_score_adj",
    "shared memory": "echo 4000 > /proc/sys/kernel/shmmni && cat /proc/sys/kernel/shmmni",
    "signal": "sleep 100 & kill -9 $!",
    "peer": "sleep 100 & cat /proc/$!/environ && readlink /proc/$!/exe && kill $!",
    "unmount": "umount /dev/pts",
    "network": "nc -l -p 5000 -s 127.0.0.1 & kill $!",
}


@pytest.mark.parametrize("what", ALLOWED)
def test_allows(runtime, bundle, profile, what):
    code, said = outcome(runtime, bundle, ALLOWED[what], profile)
    assert code == 0, said


def test_host_processes_are_out_of_reach(runtime, bundle, profile):
    """Seen, because the container is in the host's process namespace, and root: but not of the profile."""
    namespaces = bundle.config["linux"]["namespaces"]
    bundle.config["linux"]["namespaces"] = [it for it in namespaces if it["type"] != "pid"]
    host = subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL)
    try:
        for script in (f"kill -CONT {host.pid}", f"cat /proc/{host.pid}/environ > /dev/null"):
            code, said = outcome(runtime, bundle, script, "unconfined")
            assert code == 0, said
            code, said = outcome(runtime, bundle, script, profile)
            assert code != 0 and "Permission denied" in said, said
        assert host.poll() is None
    finally:
        host.kill()
        host.wait()


def test_engine_confines_by_default(engine, apus, name):
    current = ("cat", "/proc/self/attr/current")

    def confinement(*options):
        return apus("run", "--rm", *options, IMAGE, *current).stdout.strip()

    assert confinement() == "apus-default (enforce)"
    assert confinement("--security-opt", "apparmor=unconfined") == "unconfined"
    assert confinement("--privileged") == "unconfined"
    chosen = name()
    apus("run", "-d", "--name", chosen, IMAGE, "sleep", "1000")
    assert apus("exec", chosen, *current).stdout.strip() == "apus-default (enforce)"
    assert engine.inspect(chosen)["AppArmorProfile"] == "apus-default"
    # Where nothing else protects it.
    denied = apus(
        "run", "--rm", "--security-opt", "systempaths=unconfined", IMAGE, "sh", "-c", "echo h > /proc/sysrq-trigger",
        check=False)
    assert denied.returncode != 0 and "Permission denied" in denied.stderr


def test_engine_takes_other_profiles(apus, profile):
    done = apus("run", "--rm", "--security-opt", f"apparmor={profile}", IMAGE, "cat", "/proc/self/attr/current")
    assert done.stdout.strip() == f"{profile} (enforce)"
