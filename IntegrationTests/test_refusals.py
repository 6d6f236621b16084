"""What cannot be done is one clear sentence, with Docker's status, and leaves nothing behind."""

import pytest

from engines import IMAGE

pytestmark = pytest.mark.usefixtures("no_leaks")


def existing(engine):
    return {container["Id"] for container in engine.request("GET", "/containers/json?all=1").json}


def refused(cli, engine, words, status, *said):
    before = existing(engine)
    result = cli(*words, check=False)
    # The docker client takes every "no such file or directory" for a missing program.
    accepted = (status, 127) if cli.name == "docker" and status == 125 else (status,)
    assert result.returncode in accepted, (result.returncode, result.stderr)
    for text in said:
        assert text.lower() in result.stderr.lower(), result.stderr
    if cli.name == "apus":
        assert len(result.stderr.strip().splitlines()) == 1, result.stderr
        assert result.stderr.startswith("apus: ") and result.stderr.rstrip().endswith((".", "?", "'"))
    # What failed to start is kept, as with Docker, unless --rm was given; every case here gives it.
    engine.wait_for(lambda: existing(engine) == before, what="nothing to be left behind")


@pytest.mark.parametrize("words, status, said", [
    (["--cap-add", "NOT_A_CAPABILITY"], 125, ["NOT_A_CAPABILITY"]),
    (["--memory", "1m"], 125, ["memory", "6"]),
    (["--memory", "64m", "--memory-swap", "32m"], 125, ["memory"]),
    (["--cpus", "10000"], 125, ["cpu"]),
    (["--cpuset-cpus", "4000"], 125, ["4000"]),
    (["--mount", "type=bind,source=/no/such/dir,target=/x"], 125, ["/no/such/dir"]),
    (["-v", "relative/path:/x"], 125, ["relative/path"]),
    (["-v", "/tmp:relative"], 125, ["relative"]),
    (["--network", "container:nosuchcontainer"], 125, ["nosuchcontainer"]),
    (["--volumes-from", "nosuchcontainer"], 125, ["nosuchcontainer"]),
    (["--device", "/dev/no-such-device"], 125, ["/dev/no-such-device"]),
    (["--log-driver", "nosuchdriver"], 125, ["nosuchdriver"]),
    (["--runtime", "nosuchruntime"], 125, ["nosuchruntime"]),
    (["--restart", "sometimes"], 125, ["restart"]),
    (["-u", "nosuchuser"], 125, ["nosuchuser"]),
    (["--stop-signal", "SIGNOPE"], 125, ["SIGNOPE"]),
    (["--security-opt", "nonsense=1"], 125, ["nonsense"]),
    (["--pid", "container:nosuchcontainer"], 125, ["nosuchcontainer"]),
    (["--ulimit", "nosuchlimit=1"], 125, ["nosuchlimit"]),
])
def test_run(cli, engine, words, status, said):
    # --rm and --restart exclude each other, and that is then what the sentence is about.
    keep = ["--rm"] if "--restart" not in words else []
    if not engine.is_apus and words[0] == "--stop-signal":
        pytest.skip("Docker accepts it")
    refused(cli, engine, ["run", *keep, *words, IMAGE, "true"], status, *said)


def test_restart_and_rm_exclude_each_other(cli, engine):
    refused(cli, engine, ["run", "--rm", "--restart", "always", IMAGE, "true"], 125)


@pytest.mark.apusd
def test_a_limit_above_the_hosts(cli, engine):
    import resource
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    refused(
        cli, engine, ["run", "--rm", "--ulimit", f"nofile={hard + 1}:{hard + 1}", IMAGE, "true"], 125, "nofile")


def test_a_busy_name(cli, engine, sleeper):
    refused(cli, engine, ["run", "--rm", "--name", sleeper, IMAGE, "true"], 125, "already in use", sleeper)


def test_no_such_image(cli, engine):
    refused_image = cli("run", "--rm", "localhost:1/no/such:image", "true", check=False)
    assert refused_image.returncode == 125 and "localhost:1" in refused_image.stderr
    never = cli("run", "--rm", "--pull", "never", "no-such-image-here", "true", check=False)
    assert never.returncode == 125 and "no-such-image-here" in never.stderr


@pytest.mark.parametrize("reference", ["UPPER/case", "a:b:c", "x@sha256:short", "-dash", ""])
def test_names_of_images(engine, reference):
    answer = engine.request("POST", "/containers/create", {"Image": reference, "Cmd": ["true"]})
    assert answer.status in (400, 404), answer.body
    assert answer.message


@pytest.mark.parametrize("verb", ["start", "stop", "kill", "pause", "unpause", "restart", "rm", "logs", "inspect", "wait",
                                  "top", "diff", "attach"])
def test_no_such_container(cli, verb):
    result = cli(verb, "nosuchcontainer", check=False)
    assert result.returncode == 1
    assert "no such" in result.stderr.lower() and "nosuchcontainer" in result.stderr


@pytest.mark.parametrize("verb, said", [("pause", "not running"), ("kill", "not running"), ("top", "not running")])
def test_a_stopped_container(cli, name, verb, said):
    chosen = name()
    cli("run", "--name", chosen, IMAGE, "true")
    result = cli(verb, chosen, check=False)
    assert result.returncode == 1 and said in result.stderr


def test_status_of_the_api(engine, sleeper):
    request = engine.request
    assert request("POST", f"/containers/{sleeper}/start").status == 304
    assert request("POST", f"/containers/{sleeper}/unpause").status in (409, 500)
    assert request("DELETE", f"/containers/{sleeper}").status == 409
    assert request("POST", f"/containers/{sleeper}/kill?signal=NOPE").status in (400, 500)
    assert request("POST", "/containers/nosuch/start").status == 404
    assert request("POST", "/containers/create", {"Image": "nosuchimage:x"}).status == 404
    assert request("POST", f"/containers/create?name={sleeper}", {"Image": IMAGE}).status == 409
    assert request("POST", "/containers/create?name=-bad", {"Image": IMAGE}).status == 400
    assert request("GET", "/images/nosuchimage/json").status == 404
    assert request("DELETE", "/volumes/nosuchvolume").status == 404
    assert request("GET", "/exec/nosuch/json").status == 404


@pytest.fixture
def sleeper(apus, name):
    chosen = name()
    apus("run", "-d", "--name", chosen, IMAGE, "sleep", "1000")
    return chosen
