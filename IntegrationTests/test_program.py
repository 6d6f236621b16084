"""The apus program itself: help, suggestions, completions, the daemon it starts."""

import os
import shutil
import subprocess
import time

import pytest

from engines import BINARIES, IMAGE

APUS = str(BINARIES / "apus")


def run(*words, env=None):
    return subprocess.run([APUS, *words], capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL)


def test_mistyped_commands_and_options_are_recognised():
    for words, suggestion in [(["rnu"], "run"), (["imagse"], "images"), (["image", "pul"], "pull"),
                              (["run", "--nmae", "x", IMAGE], "--name"), (["ps", "--al"], "--all")]:
        result = run(*words)
        assert result.returncode == 125 and suggestion in result.stderr, result.stderr
        assert "--help" in result.stderr and len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["help", "run"], ["image", "--help"], ["ps", "-h"],
                                   ["image", "bootstrap", "--help"], ["container", "run", "--help"]])
def test_help_goes_to_standard_output(words):
    result = run(*words)
    assert result.returncode == 0 and "USAGE: apus" in result.stdout and not result.stderr


def test_version():
    assert run("--version").stdout.startswith("apus ") and run("-v").stdout.startswith("apus ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_valid(shell, tmp_path):
    result = run("completion", shell)
    assert result.returncode == 0 and "apus" in result.stdout
    if shutil.which(shell):
        (tmp_path / "script").write_text(result.stdout)
        subprocess.run([shell, "-n", str(tmp_path / "script")], check=True)


def test_completion_of_names(apus, name):
    chosen = name()
    apus("create", "--name", chosen, IMAGE)
    script = subprocess.run([APUS, "completion", "bash"], capture_output=True, text=True, check=True).stdout
    line = f"apus start {chosen[:-3]}"
    program = script + f"""
COMP_WORDS=(apus start {chosen[:-3]}); COMP_CWORD=2; COMP_LINE='{line}'; COMP_POINT={len(line)}; COMP_TYPE=9
_apus apus {chosen[:-3]} start; printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    environment = {**apus.engine.environment(), "PATH": f"{BINARIES}:{os.environ['PATH']}"}
    result = subprocess.run(["bash", "-c", program], capture_output=True, text=True, env=environment, check=False)
    assert chosen in result.stdout.split(), result.stderr


@pytest.mark.parametrize("host, said", [("tcp://1.2.3.4:5", "unix://"), ("ssh://x", "unix://"), ("nonsense", "unix://"),
                                        ("unix:///no/such/socket", "/no/such/socket")])
def test_a_daemon_that_cannot_be_reached(host, said):
    for result in (run("ps", env={"APUS_HOST": host}), run("-H", host, "ps"), run("ps", "--host", host)):
        assert result.returncode != 0 and said in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1


def test_docker_host_is_not_ours(engine):
    result = run("ps", env={"DOCKER_HOST": "unix:///no/such", "APUS_HOST": f"unix://{engine.socket}"})
    assert result.returncode == 0


def test_a_registry_that_cannot_be_reached(apus):
    result = apus("push", f"registry.invalid/{IMAGE}", check=False)
    assert result.returncode == 1 and "does not exist locally" in result.stderr
    apus("tag", IMAGE, "registry.invalid/box")
    result = apus("push", "registry.invalid/box", check=False)
    apus("rmi", "registry.invalid/box")
    assert result.returncode == 1 and "registry.invalid" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_vm_is_refused_clearly(apus, engine):
    result = apus("run", "--rm", "--vm", IMAGE, "true", check=False)
    if engine.is_apus:
        assert result.returncode == 125 and "vm" in result.stderr.lower()


def test_output_into_a_closed_pipe(apus, name):
    chosen = name()
    apus("run", "--name", chosen, IMAGE, "seq", "1", "100000")
    result = subprocess.run(
        ["sh", "-c", f"'{APUS}' logs {chosen} | head -1"], capture_output=True, text=True, check=False,
        env=apus.engine.environment())
    assert result.stdout == "1\n" and result.stderr == ""


def test_json_output(apus, name):
    import json
    chosen = name()
    apus("create", "--name", chosen, IMAGE)
    rows = [json.loads(line) for line in apus.out("ps", "-a", "--json").splitlines()]
    assert chosen in [row["Names"] for row in rows]
    assert json.loads(apus.out("inspect", "--json", chosen))[0]["Name"] == f"/{chosen}"


@pytest.mark.apusd
def test_it_starts_the_daemon_by_itself(tmp_path):
    """In a mount namespace of its own, so that the default places are ours alone."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    for place in ("run", "lib"):
        (tmp_path / place).mkdir()
    script = f"""
        mkdir -p /run/apus /var/lib/apus
        mount --bind {tmp_path}/run /run/apus && mount --bind {tmp_path}/lib /var/lib/apus || exit 99
        unset APUS_HOST
        {APUS} version --format '{{{{.Server.Os}}}}' && {APUS} ps -q || exit 98
    """
    before = daemons()
    try:
        result = subprocess.run(["unshare", "-m", "--propagation", "private", "sh", "-c", script], capture_output=True,
                                text=True, timeout=60, check=False)
        assert result.returncode != 99
        assert result.stdout.startswith("linux\n"), result.stderr
    finally:
        for pid in daemons() - before:
            os.kill(pid, 15)
        deadline = time.monotonic() + 20
        while daemons() - before and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not daemons() - before


def daemons():
    """Processes of this build's daemon on the default socket."""
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                words = open(f"/proc/{entry}/cmdline", "rb").read().split(b"\0")
            except OSError:
                continue
            if words[0].decode() == str(BINARIES / "apusd") and b"/run/apus/apus.sock" in words:
                found.add(int(entry))
    return found
