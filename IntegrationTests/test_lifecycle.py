"""start, stop, restart, kill, pause, wait, rename, update, remove, restart policies, health checks."""

import json
import subprocess
import time

import pytest

from engines import IMAGE

pytestmark = pytest.mark.usefixtures("no_leaks")


def state(engine, name):
    return engine.inspect(name)["State"]


def test_stop_asks_and_start_starts_again(cli, name, engine):
    chosen = name()
    cli("run", "-d", "--name", chosen, IMAGE, "sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.1; done")
    assert cli.out("stop", chosen) == chosen
    assert (state(engine, chosen)["Status"], state(engine, chosen)["ExitCode"]) == ("exited", 5)
    cli("start", chosen)
    assert state(engine, chosen)["Running"]


def test_stop_kills_after_the_grace(cli, name, engine):
    chosen = name()
    cli("run", "-d", "--name", chosen, IMAGE, "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
    started = time.monotonic()
    cli("stop", "-t", "1", chosen)
    assert 0.9 < time.monotonic() - started < 6
    assert state(engine, chosen)["ExitCode"] == 137


def test_stop_of_what_is_stopped_is_no_failure(cli, name):
    chosen = name()
    cli("run", "--name", chosen, IMAGE, "true")
    cli("stop", chosen)


def test_start_of_what_runs_is_no_failure(cli, sleeper):
    cli("start", sleeper)


def test_restart(cli, sleeper, engine):
    before = state(engine, sleeper)
    cli("restart", "-t", "0", sleeper)
    after = state(engine, sleeper)
    assert after["Running"] and after["Pid"] != before["Pid"] and after["StartedAt"] > before["StartedAt"]


def test_restart_of_one_that_is_removed_on_exit(cli, name, engine):
    """A restart is not an exit: it stays, and so does what it has written."""
    chosen = name()
    cli("run", "-d", "--rm", "--init", "--name", chosen, IMAGE, "sleep", "100")
    cli("exec", chosen, "touch", "/kept")
    for _ in range(2):
        cli("restart", "-t", "5", chosen)
        assert cli.out("exec", chosen, "ls", "/kept") == "/kept"
    cli("kill", chosen)
    engine.wait_for(lambda: engine.request("GET", f"/containers/{chosen}/json").status == 404, what="it to be removed")


@pytest.mark.parametrize("signal, status", [("KILL", 137), ("9", 137), ("SIGUSR1", 138)])
def test_kill(cli, name, engine, signal, status):
    chosen = name()
    cli("run", "-d", "--init", "--name", chosen, IMAGE, "sleep", "100")
    cli("kill", "-s", signal, chosen)
    engine.wait_for(lambda: not state(engine, chosen)["Running"])
    assert state(engine, chosen)["ExitCode"] == status


def test_pause_freezes_and_unpause_thaws(cli, name, engine):
    chosen = name()
    cli("run", "-d", "--name", chosen, IMAGE, "sh", "-c", "while :; do echo x; usleep 20000; done")
    cli("pause", chosen)
    assert state(engine, chosen)["Status"] == "paused"
    first = cli.out("logs", chosen)
    time.sleep(0.2)
    assert cli.out("logs", chosen) == first
    cli("unpause", chosen)
    engine.wait_for(lambda: len(cli.out("logs", chosen)) > len(first))
    cli("pause", chosen)
    # What is frozen can be removed all the same.
    cli("rm", "-f", chosen)


def test_wait_prints_the_status(cli, name):
    chosen = name()
    cli("run", "-d", "--name", chosen, IMAGE, "sh", "-c", "sleep 0.3; exit 12")
    assert cli.out("wait", chosen) == "12"
    assert cli.out("wait", chosen) == "12"


def test_wait_for_several(cli, name):
    first, second = name(), name()
    cli("run", "-d", "--name", first, IMAGE, "sh", "-c", "sleep 0.2; exit 1")
    cli("run", "-d", "--name", second, IMAGE, "sh", "-c", "exit 2")
    assert cli.out("wait", first, second).split() == ["1", "2"]


def test_rename(cli, sleeper, name):
    other = name()
    cli("rename", sleeper, other)
    assert cli.out("inspect", "-f", "{{.Name}}", other) == f"/{other}"
    assert cli("inspect", sleeper, check=False).returncode == 1


def test_names_are_unique(cli, sleeper, name):
    result = cli("create", "--name", sleeper, IMAGE, check=False)
    assert result.returncode in (1, 125) and "already in use" in result.stderr
    other = name()
    cli("create", "--name", other, IMAGE)
    assert "already in use" in cli("rename", other, sleeper, check=False).stderr


def test_prefixes_of_ids_name_containers(cli, sleeper, engine):
    identifier = engine.inspect(sleeper)["Id"]
    assert cli.out("inspect", "-f", "{{.Id}}", identifier[:12]) == identifier
    assert cli.out("inspect", "-f", "{{.Id}}", identifier[:20]) == identifier


def test_running_containers_are_not_removed_without_force(cli, sleeper):
    result = cli("rm", sleeper, check=False)
    assert result.returncode == 1 and "running" in result.stderr
    cli("rm", "-f", sleeper)


def test_many_are_removed_at_once(cli, name):
    names = [name(f"-{number}") for number in range(8)]
    for chosen in names:
        cli("create", "--name", chosen, IMAGE)
    assert cli.out("rm", *names).split() == names


def test_update_of_limits(cli, sleeper, engine):
    cli("update", "--memory", "64m", "--memory-swap", "128m", "--cpus", "0.5", "--pids-limit", "50", sleeper)
    host = engine.inspect(sleeper)["HostConfig"]
    assert (host["Memory"], host["NanoCpus"], host["PidsLimit"]) == (64 << 20, 500_000_000, 50)


def test_update_of_the_restart_policy(cli, sleeper, engine):
    cli("update", "--restart", "on-failure:4", sleeper)
    assert engine.inspect(sleeper)["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 4}


def test_on_failure_restarts_so_often(cli, name, engine):
    chosen = name()
    cli("run", "-d", "--restart", "on-failure:2", "--name", chosen, IMAGE, "sh", "-c", "echo run; exit 1")
    engine.wait_for(lambda: engine.inspect(chosen)["RestartCount"] == 2 and state(engine, chosen)["Status"] == "exited")
    assert cli.out("logs", chosen).split() == ["run"] * 3


def test_on_failure_leaves_success_alone(cli, name, engine):
    chosen = name()
    cli("run", "-d", "--restart", "on-failure", "--name", chosen, IMAGE, "true")
    cli("wait", chosen)
    time.sleep(0.3)
    assert engine.inspect(chosen)["RestartCount"] == 0


def test_always_restarts_until_it_is_stopped(cli, name, engine):
    chosen = name()
    cli("run", "-d", "--restart", "always", "--name", chosen, IMAGE, "sh", "-c", "sleep 0.1")
    engine.wait_for(lambda: engine.inspect(chosen)["RestartCount"] >= 1)
    cli("stop", "-t", "1", chosen)
    time.sleep(0.5)
    assert state(engine, chosen)["Status"] == "exited"


@pytest.mark.slow
def test_health(cli, name, engine):
    chosen = name()
    cli("run", "-d", "--name", chosen, "--health-cmd", "test -e /tmp/well", "--health-interval", "500ms",
        "--health-retries", "2", "--health-timeout", "5s", IMAGE, "sh", "-c", "touch /tmp/well; sleep 1000")
    engine.wait_for(lambda: state(engine, chosen)["Health"]["Status"] == "healthy")
    assert "(healthy)" in cli.out("ps", "--filter", f"name={chosen}", "--format", "{{.Status}}")
    cli("exec", chosen, "rm", "/tmp/well")
    engine.wait_for(lambda: state(engine, chosen)["Health"]["Status"] == "unhealthy")
    health = state(engine, chosen)["Health"]
    assert health["FailingStreak"] >= 2 and health["Log"][-1]["ExitCode"] == 1


def test_ps_lists_and_filters(cli, sleeper, name):
    stopped = name()
    cli("run", "--name", stopped, "--label", f"mark={stopped}", IMAGE, "sh", "-c", "exit 4", check=False)

    def names(*words):
        return cli.out("ps", "--format", "{{.Names}}", *words).split()

    assert sleeper in names() and stopped not in names()
    assert stopped in names("-a")
    assert names("-a", "--filter", f"label=mark={stopped}") == [stopped]
    assert names("-a", "--filter", f"name={stopped}", "--filter", "exited=4") == [stopped]
    assert names("-a", "--filter", f"name={sleeper}", "--filter", "status=exited") == []
    assert names("--filter", f"name={sleeper}", "--filter", f"ancestor={IMAGE}") == [sleeper]
    assert names("-l") == [stopped]
    row = json.loads(cli.out("ps", "--filter", f"name={sleeper}", "--format", "{{json .}}"))
    assert (row["Names"], row["Image"], row["State"]) == (sleeper, IMAGE, "running")
    assert row["Status"].startswith("Up ")
    assert len(cli.out("ps", "-q", "--filter", f"name={sleeper}")) == 12
    assert len(cli.out("ps", "-q", "--no-trunc", "--filter", f"name={sleeper}")) == 64
    table = cli.out("ps", "-a", "--filter", f"name={stopped}").splitlines()
    assert table[0].split()[:2] == ["CONTAINER", "ID"] and "Exited (4)" in table[1]


def test_prune_removes_what_is_stopped(cli, sleeper, name):
    stopped = name()
    cli("run", "--name", stopped, "--label", f"mark={stopped}", IMAGE, "true")
    output = cli.out("container", "prune", "-f", "--filter", f"label=mark={stopped}")
    assert "Total reclaimed space" in output
    assert cli("inspect", stopped, check=False).returncode == 1
    assert cli("inspect", sleeper).returncode == 0


def test_start_again_while_someone_waits(engine, cli, sleeper):
    """A waiter for the next exit hears of this one, whichever client started it."""
    process = cli.popen("wait", sleeper)
    time.sleep(0.2)
    cli("kill", sleeper)
    assert process.communicate(timeout=20)[0] == b"137\n"


def test_attach_shows_output_and_exit_status(cli, name):
    chosen = name()
    cli("run", "-d", "-i", "--name", chosen, IMAGE, "sh", "-c", "read line; sleep 0.5; echo got $line; exit 6")
    process = cli.popen("attach", chosen, stdin=subprocess.PIPE)
    output, _ = process.communicate(b"hello\n", timeout=20)
    assert (output, process.returncode) == (b"got hello\n", 6)
