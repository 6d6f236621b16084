"""exec: programs in a container that runs."""

import os
import subprocess

import pytest

from engines import IMAGE

pytestmark = pytest.mark.usefixtures("no_leaks")


def test_output_errors_and_status(cli, sleeper):
    result = cli("exec", sleeper, "sh", "-c", "echo out; echo err >&2; exit 17", check=False)
    assert (result.stdout, result.stderr, result.returncode) == ("out\n", "err\n", 17)


def test_input(cli, sleeper):
    data = os.urandom(1 << 20)
    assert cli("exec", "-i", sleeper, "cat", input=data, text=False).stdout == data


def test_environment_directory_user(cli, sleeper):
    output = cli.out("exec", "-e", "A=b", "-w", "/tmp", "-u", "app", sleeper, "sh", "-c", "echo $A; pwd; id -u; echo $HOME")
    assert output.split() == ["b", "/tmp", "1000", "/home/app"]


def test_it_has_the_containers_environment(cli, name):
    chosen = name()
    cli("run", "-d", "--name", chosen, "-e", "FROM=run", IMAGE, "sleep", "1000")
    assert cli.out("exec", chosen, "sh", "-c", "echo $FROM") == "run"


def test_it_sees_the_containers_processes(cli, sleeper):
    assert "sleep 1000" in cli.out("exec", sleeper, "ps")
    assert cli.out("exec", sleeper, "readlink", "/proc/1/exe").endswith("busybox")


def test_detached(cli, sleeper, engine):
    cli("exec", "-d", sleeper, "sh", "-c", "sleep 0.1; touch /tmp/done")
    engine.wait_for(lambda: cli("exec", sleeper, "test", "-e", "/tmp/done", check=False).returncode == 0)


@pytest.mark.parametrize("program, status", [("no-such-program", 127), ("/etc/plain", 126)])
def test_what_cannot_be_executed(cli, sleeper, program, status):
    result = cli("exec", sleeper, program, check=False)
    # dockerd before 25 answers 126 for both.
    assert result.returncode in ((status,) if cli.engine.is_apus else (126, 127))
    assert program in result.stderr + result.stdout


@pytest.mark.apusd  # runc gives all capabilities or none, and not every host has all.
def test_privileges_are_the_containers(cli, sleeper):
    def capabilities(*words):
        return cli.out("exec", *words, sleeper, "grep", "CapEff", "/proc/self/status").split()[1]

    assert int(capabilities("--privileged"), 16) > int(capabilities(), 16)


def test_a_stopped_container_takes_none(cli, name):
    chosen = name()
    cli("run", "--name", chosen, IMAGE, "true")
    result = cli("exec", chosen, "true", check=False)
    assert result.returncode == 1 and "not running" in result.stderr


def test_a_paused_container_takes_none(cli, sleeper):
    cli("pause", sleeper)
    result = cli("exec", sleeper, "true", check=False)
    assert result.returncode == 1 and "paused" in result.stderr


def test_it_ends_with_the_container(cli, sleeper):
    process = cli.popen("exec", sleeper, "sleep", "2000")
    cli.engine.wait_for(lambda: "sleep 2000" in cli.out("exec", sleeper, "ps"))
    cli("kill", sleeper)
    process.communicate(timeout=20)
    assert process.returncode == 137


def test_running_execs_are_listed(cli, sleeper):
    process = cli.popen("exec", sleeper, "sleep", "3")
    cli.engine.wait_for(lambda: cli.engine.inspect(sleeper)["ExecIDs"], timeout=2)
    process.communicate(timeout=20)


def test_many_at_once(cli, sleeper):
    processes = [cli.popen("exec", sleeper, "sh", "-c", f"echo {number}; exit {number}") for number in range(12)]
    for number, process in enumerate(processes):
        output, errors = process.communicate(timeout=60)
        assert (output, process.returncode) == (f"{number}\n".encode(), number), errors


def test_inspect_of_an_exec(engine, cli, sleeper):
    identifier = engine.request(
        "POST", f"/containers/{sleeper}/exec", {"Cmd": ["sh", "-c", "exit 3"], "AttachStdout": True}).json["Id"]
    status, stream, rest = engine.hijack("POST", f"/exec/{identifier}/start", {"Detach": False, "Tty": False})
    assert status in (101, 200)
    while stream.recv(65536):
        pass
    stream.close()
    answer = engine.wait_for(lambda: (lambda it: it if not it["Running"] else None)(
        engine.request("GET", f"/exec/{identifier}/json").json))
    assert answer["ExitCode"] == 3 and answer["ProcessConfig"]["entrypoint"] == "sh"


def test_input_can_be_closed_while_output_goes_on(engine, sleeper):
    """The half-close of the hijacked connection: `cat; echo after` must see the end and still be heard."""
    identifier = engine.request(
        "POST", f"/containers/{sleeper}/exec",
        {"Cmd": ["sh", "-c", "cat; sleep 0.2; echo after"], "AttachStdin": True, "AttachStdout": True}).json["Id"]
    _, stream, received = engine.hijack("POST", f"/exec/{identifier}/start", {"Detach": False, "Tty": False})
    stream.sendall(b"before\n")
    stream.shutdown(1)
    while piece := stream.recv(65536):
        received += piece
    stream.close()
    assert b"before\n" in received and b"after\n" in received
