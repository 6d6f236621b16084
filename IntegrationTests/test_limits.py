"""What a container may use, and what it may do."""

import pytest

from engines import IMAGE

pytestmark = pytest.mark.usefixtures("no_leaks")

CAPABILITIES = "grep CapEff /proc/self/status"


def capabilities(cli, *words):
    return int(cli.out("run", "--rm", *words, IMAGE, "grep", "CapEff", "/proc/self/status").split()[1], 16)


def test_memory_is_limited(cli, name, engine):
    chosen = name()
    result = cli(
        "run", "--name", chosen, "--memory", "16m", "--memory-swap", "16m", IMAGE, "sh", "-c",
        "x=$(head -c 60000000 /dev/zero | tr '\\0' x); echo ${#x}", check=False)
    assert result.returncode == 137
    assert engine.inspect(chosen)["State"]["OOMKilled"] is True


def test_processes_are_limited(cli):
    result = cli(
        "run", "--rm", "--pids-limit", "10", IMAGE, "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1 & done",
        check=False)
    assert "fork" in result.stderr


def test_cpu_settings_are_kept_and_set(cli, name, engine):
    chosen = name()
    cli("run", "-d", "--name", chosen, "--cpus", "0.5", "--cpu-shares", "512", "--cpuset-cpus", "0", IMAGE, "sleep", "100")
    host = engine.inspect(chosen)["HostConfig"]
    assert (host["NanoCpus"], host["CpuShares"], host["CpusetCpus"]) == (500_000_000, 512, "0")
    assert cli.out("exec", chosen, "nproc") == "1"


def test_ulimits(cli):
    output = cli.out("run", "--rm", "--ulimit", "nofile=100:200", "--ulimit", "core=0", IMAGE, "sh", "-c",
                     "ulimit -Sn; ulimit -Hn; ulimit -c")
    assert output.split() == ["100", "200", "0"]


def test_the_default_capabilities_are_dockers(cli):
    assert capabilities(cli) == 0x00000000A80425FB


def test_capabilities_are_added_and_dropped(cli):
    assert capabilities(cli, "--cap-drop", "ALL") == 0
    assert capabilities(cli, "--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE") == 1 << 10
    assert capabilities(cli, "--cap-add", "CAP_SYS_ADMIN") & 1 << 21
    assert not capabilities(cli, "--cap-drop", "chown") & 1


def test_an_ordinary_user_has_no_capabilities(cli):
    assert capabilities(cli, "-u", "app") == 0


@pytest.mark.apusd  # runc gives all capabilities or none, and not every host has all.
def test_privileged(cli):
    output = cli.out("run", "--rm", "--privileged", IMAGE, "sh", "-c", "mkdir /m && mount -t tmpfs x /m && ls /dev | wc -l")
    assert int(output) > 15
    assert cli.out("run", "--rm", "--privileged", IMAGE, "grep", "Seccomp:", "/proc/self/status").split()[1] == "0"


def test_mounting_is_not_allowed_otherwise(cli):
    assert cli("run", "--rm", IMAGE, "mount", "-t", "tmpfs", "x", "/tmp", check=False).returncode != 0


def test_seccomp_filters_by_default(cli, tmp_path):
    def mode(*words):
        return cli.out("run", "--rm", *words, IMAGE, "grep", "Seccomp:", "/proc/self/status").split()[1]

    assert mode() == "2"
    assert mode("--security-opt", "seccomp=unconfined") == "0"
    profile = tmp_path / "profile.json"
    profile.write_text('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": ['
                       '{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]}')
    result = cli("run", "--rm", "--security-opt", f"seccomp={profile}", IMAGE, "mkdir", "/x", check=False)
    assert result.returncode == 1 and "not permitted" in result.stderr


def test_no_new_privileges(cli):
    def bit(*words):
        return cli.out("run", "--rm", *words, IMAGE, "grep", "NoNewPrivs", "/proc/self/status").split()[1]

    assert (bit(), bit("--security-opt", "no-new-privileges")) == ("0", "1")


def test_paths_are_masked_and_read_only(cli):
    output = cli.out("run", "--rm", IMAGE, "sh", "-c", "cat /proc/kcore | wc -c; ls /proc/acpi 2>/dev/null | wc -l")
    assert output.split() == ["0", "0"]
    assert cli("run", "--rm", IMAGE, "sh", "-c", "echo 1 > /proc/sys/kernel/panic", check=False).returncode != 0
    assert cli("run", "--rm", IMAGE, "sh", "-c", "echo x > /proc/sysrq-trigger", check=False).returncode != 0


def test_sysctl(cli):
    assert cli.out("run", "--rm", "--sysctl", "net.ipv4.ip_unprivileged_port_start=99", IMAGE, "cat",
                   "/proc/sys/net/ipv4/ip_unprivileged_port_start") == "99"


def test_devices(cli):
    names = set(cli.out("run", "--rm", IMAGE, "ls", "/dev").split())
    assert {"null", "zero", "full", "random", "urandom", "tty", "pts", "shm", "fd", "stdin", "stdout"} <= names
    assert not {"sda", "kvm", "mem", "loop0"} & names
    assert "x" in cli.out("run", "--rm", "--device", "/dev/null:/dev/x", IMAGE, "ls", "/dev").split()


def test_a_device_is_refused_unless_given(cli):
    script = "mknod /tmp/kmsg c 1 11 && head -c 1 /tmp/kmsg"
    result = cli("run", "--rm", IMAGE, "sh", "-c", script, check=False)
    assert result.returncode != 0 and "not permitted" in result.stderr


@pytest.mark.parametrize("option, namespace", [("--pid", "pid"), ("--ipc", "ipc"), ("--uts", "uts")])
def test_the_hosts_namespaces(cli, option, namespace):
    import os
    inside = cli.out("run", "--rm", option, "host", IMAGE, "readlink", f"/proc/self/ns/{namespace}")
    assert inside == os.readlink(f"/proc/self/ns/{namespace}")
    assert cli.out("run", "--rm", IMAGE, "readlink", f"/proc/self/ns/{namespace}") != inside


def test_another_containers_pid_namespace(cli, sleeper):
    assert "sleep 1000" in cli.out("run", "--rm", "--pid", f"container:{sleeper}", IMAGE, "ps")


def test_oom_score(cli):
    assert cli.out("run", "--rm", "--oom-score-adj", "300", IMAGE, "cat", "/proc/self/oom_score_adj") == "300"
