"""inspect, top, stats, events, info, version, df: what an engine says of itself."""

import json
import re
import threading
import time

import pytest

from engines import IMAGE

pytestmark = pytest.mark.usefixtures("no_leaks")


def test_inspect_of_a_container(cli, name, engine):
    chosen = name()
    cli("run", "-d", "--name", chosen, "-e", "A=b", "-l", "x=y", "--memory", "64m", "-v", "/vol", "-w", "/tmp", IMAGE,
        "sleep", "1000")
    it = json.loads(cli.out("inspect", chosen))[0]
    assert re.fullmatch("[0-9a-f]{64}", it["Id"]) and it["Name"] == f"/{chosen}"
    assert it["Path"] == "sleep" and it["Args"] == ["1000"]
    assert it["State"]["Status"] == "running" and it["State"]["Pid"] > 0
    assert it["State"]["StartedAt"].startswith("20") and it["Created"].endswith("Z")
    assert it["Config"]["Image"] == IMAGE and "A=b" in it["Config"]["Env"] and it["Config"]["Labels"]["x"] == "y"
    assert it["HostConfig"]["Memory"] == 64 << 20 and it["HostConfig"]["LogConfig"]["Type"] == "json-file"
    assert it["Mounts"][0]["Destination"] == "/vol"
    assert it["Image"].startswith("sha256:")
    with open(f"/proc/{it['State']['Pid']}/cmdline", "rb") as file:
        assert file.read().startswith(b"sleep\x001000")


def test_templates(cli, sleeper):
    assert cli.out("inspect", "-f", "{{.State.Running}} {{len .Mounts}} {{json .Config.Cmd}}", sleeper) == \
        'true 0 ["sleep","1000"]'
    assert cli.out("inspect", "-f", "{{range .Config.Cmd}}<{{.}}>{{end}}", sleeper) == "<sleep><1000>"
    assert cli.out("inspect", "-f", "{{if .State.Running}}up{{else}}down{{end}}", sleeper) == "up"
    assert cli("inspect", "-f", "{{.State", sleeper, check=False).returncode != 0


def test_sizes(cli, name):
    chosen = name()
    cli("run", "--name", chosen, IMAGE, "dd", "if=/dev/zero", "of=/f", "bs=1M", "count=3")
    it = json.loads(cli.out("inspect", "-s", chosen))[0]
    assert 3 << 20 <= it["SizeRw"] < 4 << 20 and it["SizeRootFs"] > it["SizeRw"]
    assert cli.out("ps", "-as", "--filter", f"name={chosen}", "--format", "{{.Size}}").startswith("3.1")


def test_top(cli, sleeper):
    lines = cli.out("top", sleeper).splitlines()
    assert lines[0].split()[:2] == ["UID", "PID"] and "sleep 1000" in lines[1]
    assert "sleep" in cli.out("top", sleeper, "-eo", "pid,comm")


def test_stats(cli, name):
    chosen = name()
    cli("run", "-d", "--name", chosen, "--memory", "64m", IMAGE, "sh", "-c", "while :; do :; done")
    row = json.loads(cli.out("stats", "--no-stream", "--format", "{{json .}}", chosen))
    assert row["Name"] == chosen and row["PIDs"] == "1" and row["MemUsage"].endswith("/ 64MiB")
    assert 10 < float(row["CPUPerc"].rstrip("%")) < 150


def test_events(cli, name, engine):
    chosen = name()
    since = time.time()
    cli("run", "--rm", "--name", chosen, IMAGE, "sh", "-c", "exit 3", check=False)
    engine.wait_for(lambda: engine.request("GET", f"/containers/{chosen}/json").status == 404)
    output = cli.out(
        "events", "--since", f"{since:.3f}", "--until", f"{time.time() + 0.01:.3f}", "--filter", f"container={chosen}",
        "--format", "{{json .}}")
    events = [json.loads(line) for line in output.splitlines()]
    actions = [event["Action"] for event in events if event["Type"] == "container"]
    order = [action for action in actions if action in ("create", "start", "die", "destroy")]
    assert order == ["create", "start", "die", "destroy"]
    died = next(event for event in events if event["Action"] == "die")
    assert died["Actor"]["Attributes"]["exitCode"] == "3" and died["Actor"]["Attributes"]["name"] == chosen


def test_events_as_they_happen(cli, name):
    chosen = name()
    process = cli.popen("events", "--filter", f"container={chosen}", "--filter", "event=start", "--format", "{{.Action}}")
    time.sleep(0.5)
    cli("run", "--name", chosen, IMAGE, "true")
    killer = threading.Timer(15, process.kill)
    killer.start()
    try:
        assert process.stdout.readline() == b"start\n"
    finally:
        killer.cancel()
        process.kill()
        process.communicate()


def test_version_and_info(cli, engine):
    version = json.loads(cli.out("version", "--format", "{{json .}}"))
    assert version["Server"]["Os"] == "linux" and version["Server"]["ApiVersion"]
    info = json.loads(cli.out("info", "--format", "{{json .}}"))
    assert info["OSType"] == "linux" and info["NCPU"] >= 1 and info["MemTotal"] > 1 << 28
    assert info["Containers"] == info["ContainersRunning"] + info["ContainersPaused"] + info["ContainersStopped"]
    assert cli("info").stdout and cli("version").stdout


def test_disk_usage(cli, sleeper):
    output = cli.out("system", "df")
    assert [line.split()[0] for line in output.splitlines()][:3] == ["TYPE", "Images", "Containers"]
    assert sleeper in cli.out("system", "df", "-v")


def test_ping_and_versions(engine):
    answer = engine.request("GET", "/_ping")
    assert answer.status == 200 and answer.body == b"OK" and answer.headers["Api-Version"]
    assert engine.request("HEAD", "/_ping").status == 200
    for prefix in ("", "/v1.24", "/v1.41") + (("/v1.44", "/v1.50") if engine.is_apus else ()):
        answer = engine.request("GET", f"{prefix}/containers/json")
        assert answer.status == 200 and isinstance(answer.json, list)
    assert engine.request("GET", "/v9.99/containers/json").status == 400
    assert engine.request("GET", "/no/such/thing").status == 404
    assert "message" in engine.request("GET", "/v1.41/nothing").json


def test_hostile_requests_do_no_harm(engine):
    for body in (b"{", b"[]", b'"x"', b"null", b"[" * 10000, b'{"Image": 5}', b'{"Image":"x","Cmd":{"a":1}}'):
        answer = engine.request("POST", "/containers/create", body, {"Content-Type": "application/json"})
        assert answer.status in (400, 404, 500), (body[:20], answer.status)
    for path in ("/containers/..%2f..%2fetc/json", "/containers/%00/json", "/images/..%2f../json", "/volumes/%2e%2e"):
        assert engine.request("GET", path).status in (400, 404), path
    assert engine.request("GET", "/_ping").status == 200
