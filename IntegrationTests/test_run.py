"""`run` and `create`: streams, exit statuses, and the options that shape the program in the container."""

import os
import re

import pytest

from engines import IMAGE

pytestmark = pytest.mark.usefixtures("no_leaks")


def test_output_and_errors_are_kept_apart(cli):
    result = cli("run", "--rm", IMAGE, "sh", "-c", "echo out; echo err >&2")
    assert (result.stdout, result.stderr) == ("out\n", "err\n")


@pytest.mark.parametrize("status", [0, 1, 42, 255])
def test_exit_status_is_the_programs_own(cli, status):
    assert cli("run", "--rm", IMAGE, "sh", "-c", f"exit {status}", check=False).returncode == status


def test_a_signal_ends_with_128_and_its_number(cli):
    # The first process of a PID namespace is immune to its own signals; its children are not.
    script = "sh -c 'kill -9 $$'; exit $?"
    assert cli("run", "--rm", IMAGE, "sh", "-c", script, check=False).returncode == 137


def test_input_reaches_the_program_and_ends(cli):
    assert cli("run", "-i", "--rm", IMAGE, "cat", input="some input\n").stdout == "some input\n"


def test_much_input_comes_back_whole(cli):
    data = os.urandom(4 << 20)
    result = cli("run", "-i", "--rm", IMAGE, "cat", input=data, text=False)
    assert result.stdout == data


def test_without_i_there_is_no_input(cli):
    assert cli("run", "--rm", IMAGE, "cat", input="ignored").stdout == ""


def test_much_output_comes_whole(cli):
    result = cli("run", "--rm", IMAGE, "sh", "-c", "seq 1 200000")
    assert result.stdout.split() == [str(number) for number in range(1, 200001)]


def test_detached_prints_the_id(cli, name):
    chosen = name()
    identifier = cli.out("run", "-d", "--name", chosen, IMAGE, "sleep", "100")
    assert re.fullmatch("[0-9a-f]{64}", identifier)
    assert cli.out("inspect", "-f", "{{.Id}} {{.Name}} {{.State.Running}}", chosen) == f"{identifier} /{chosen} true"


def test_rm_removes_it(cli, name, engine):
    chosen = name()
    cli("run", "--rm", "--name", chosen, IMAGE, "true")
    engine.wait_for(lambda: engine.request("GET", f"/containers/{chosen}/json").status == 404)


def test_environment(cli, tmp_path):
    (tmp_path / "env").write_text("# comment\nFILE=yes\nHERE\n")
    output = cli.out(
        "run", "--rm", "-e", "A=one two", "-e", "HERE", "-e", "MISSING_X", "--env-file", str(tmp_path / "env"), IMAGE,
        "env", env={"HERE": "inherited"})
    lines = output.splitlines()
    assert "A=one two" in lines and "FILE=yes" in lines and "HERE=inherited" in lines
    assert not any(line.startswith("MISSING_X") for line in lines)
    assert "HOME=/root" in lines
    assert any(line.startswith("PATH=") for line in lines)


def test_hostname(cli):
    assert cli.out("run", "--rm", "--hostname", "box", IMAGE, "sh", "-c", "hostname; cat /etc/hostname") == "box\nbox"
    identifier = cli.out("run", "--rm", IMAGE, "hostname")
    assert re.fullmatch("[0-9a-f]{12}", identifier)


def test_hosts_file(cli):
    output = cli.out("run", "--rm", "--hostname", "box", "--add-host", "db:10.1.2.3", IMAGE, "cat", "/etc/hosts")
    assert re.search(r"127\.0\.0\.1\s+localhost", output)
    assert re.search(r"10\.1\.2\.3\s+db", output)


def test_working_directory_is_made(cli):
    assert cli.out("run", "--rm", "-w", "/made/for/it", IMAGE, "pwd") == "/made/for/it"


@pytest.mark.parametrize("user, expected", [
    ("app", "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra)"),
    ("1000:2000", "uid=1000(app) gid=2000(extra)"),
    ("65534", "uid=65534(nobody) gid=65534(nogroup)"),
    ("4242", "uid=4242 gid=0(root)"),
    ("app:extra", "uid=1000(app) gid=2000(extra)"),
])
def test_user(cli, user, expected):
    output = cli.out("run", "--rm", "-u", user, IMAGE, "id")
    assert re.sub(" groups=.*", "", output) == re.sub(" groups=.*", "", expected)
    if "groups" in expected:
        assert set(re.findall(r"\d+\(\w+\)", output.split("groups=")[1])) == {"1000(app)", "2000(extra)"}


def test_supplementary_groups(cli):
    assert "2000" in cli.out("run", "--rm", "-u", "app", "--group-add", "extra", "--group-add", "777", IMAGE, "id", "-G")
    assert "777" in cli.out("run", "--rm", "-u", "app", "--group-add", "777", IMAGE, "id", "-G").split()


def test_home_is_the_users(cli):
    assert cli.out("run", "--rm", "-u", "app", IMAGE, "sh", "-c", "echo $HOME") == "/home/app"


def test_entrypoint(cli):
    assert cli.out("run", "--rm", "--entrypoint", "echo", IMAGE, "a", "b") == "a b"
    assert cli.out("run", "--rm", "--entrypoint", "", IMAGE, "echo", "c") == "c"


def test_the_images_command_is_the_default(cli):
    assert cli("run", "-i", "--rm", IMAGE, input="echo from the shell\n").stdout == "from the shell\n"


def test_options_end_at_the_image(cli):
    assert cli.out("run", "--rm", IMAGE, "echo", "--rm", "-it", "--name=x", "--") == "--rm -it --name=x --"


def test_init_reaps_and_forwards(cli, name, engine):
    chosen = name()
    cli("run", "-d", "--init", "--name", chosen, IMAGE, "sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.1; done")
    # The program is not the first process, but its child.
    assert cli.out("exec", chosen, "sh", "-c", "pidof -s sh || ps | grep trap | head -1").split()[0] != "1"
    assert cli.out("exec", chosen, "cat", "/proc/1/comm") != "sh"
    cli("stop", "-t", "5", chosen)
    assert engine.inspect(chosen)["State"]["ExitCode"] == 7


def test_cidfile(cli, name, tmp_path):
    file = tmp_path / "cid"
    identifier = cli.out("run", "-d", "--name", name(), "--cidfile", str(file), IMAGE, "true")
    assert file.read_text().strip() == identifier
    result = cli("run", "-d", "--name", name(), "--cidfile", str(file), IMAGE, "true", check=False)
    assert result.returncode == 125 and str(file) in result.stderr


def test_labels(cli, name, tmp_path):
    (tmp_path / "labels").write_text("from=file\n")
    chosen = name()
    cli("create", "--name", chosen, "--label", "a=b", "-l", "empty", "--label-file", str(tmp_path / "labels"), IMAGE)
    output = cli.out("inspect", "-f", "{{index .Config.Labels \"a\"}}/{{index .Config.Labels \"from\"}}", chosen)
    assert output == "b/file"


def test_create_then_start_attached(cli, name):
    chosen = name()
    cli("create", "--name", chosen, IMAGE, "sh", "-c", "echo hello; exit 3")
    result = cli("start", "-a", chosen, check=False)
    assert (result.stdout, result.returncode) == ("hello\n", 3)


def test_create_then_start_interactive(cli, name):
    chosen = name()
    cli("create", "-i", "--name", chosen, IMAGE, "cat")
    assert cli("start", "-ai", chosen, input="typed\n").stdout == "typed\n"


def test_a_container_starts_again_with_its_files(cli, name):
    chosen = name()
    cli("run", "--name", chosen, IMAGE, "sh", "-c", "echo x >> /tmp/count; cat /tmp/count | wc -l")
    assert cli.out("start", "-a", chosen).strip() == "2"
    assert cli.out("start", "-a", chosen).strip() == "3"


@pytest.mark.parametrize("program, status", [("no-such-program", 127), ("/no/such", 127), ("/etc", 126), ("/etc/plain", 126)])
def test_what_cannot_be_executed(cli, program, status, engine):
    before = len(engine.request("GET", "/containers/json?all=1").json)
    result = cli("run", "--rm", IMAGE, program, check=False)
    assert result.returncode == status, result.stderr
    assert program in result.stderr
    engine.wait_for(lambda: len(engine.request("GET", "/containers/json?all=1").json) == before)


def test_annotations_and_stop_settings_are_kept(cli, name, engine):
    chosen = name()
    cli("create", "--name", chosen, "--stop-signal", "SIGUSR1", "--stop-timeout", "3", IMAGE)
    config = engine.inspect(chosen)["Config"]
    assert (config["StopSignal"], config["StopTimeout"]) == ("SIGUSR1", 3)


def test_network_none_has_loopback_only(cli):
    output = cli.out("run", "--rm", "--network", "none", IMAGE, "ip", "-o", "link")
    assert [line.split(":")[1].strip() for line in output.splitlines()] == ["lo"]
    assert "UP" in output


def test_network_host_is_the_hosts(cli):
    inside = cli.out("run", "--rm", "--network", "host", IMAGE, "readlink", "/proc/self/ns/net")
    assert inside == os.readlink("/proc/self/ns/net")


def test_signals_are_handed_on(cli, name):
    chosen = name()
    script = "trap 'echo got; exit 9' TERM; echo ready; while :; do sleep 0.1; done"
    process = cli.popen("run", "--name", chosen, IMAGE, "sh", "-c", script)
    assert process.stdout.readline() == b"ready\n"
    process.terminate()
    output, _ = process.communicate(timeout=20)
    assert (output, process.returncode) == (b"got\n", 9)
