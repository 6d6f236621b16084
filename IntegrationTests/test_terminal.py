"""Terminals, scripted through a pty: size, resize, Ctrl-C, detach keys, exit status."""

import os
import time

import pexpect
import pytest

from engines import IMAGE

pytestmark = pytest.mark.usefixtures("no_leaks")


def spawn(cli, *words, rows=33, columns=101):
    child = pexpect.spawn(
        cli.program, list(words), env=cli.engine.environment(), dimensions=(rows, columns), timeout=20, encoding="utf-8")
    child.delaybeforesend = 0.05
    return child


def test_a_shell(cli, name):
    chosen = name()
    child = spawn(cli, "run", "-it", "--rm", "--name", chosen, IMAGE, "sh")
    child.expect("# ")
    child.sendline("tty; echo $((40+2))")
    child.expect("/dev/pts/0")
    child.expect("42")
    child.expect("# ")
    child.sendline("exit 42")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 42


def test_size_and_resize(cli, name):
    child = spawn(cli, "run", "-it", "--rm", "--name", name(), IMAGE, "sh")
    child.expect("# ")
    cli.engine.wait_for(lambda: size(child) == "33 101", what="the first size")
    child.setwinsize(44, 122)
    cli.engine.wait_for(lambda: size(child) == "44 122", what="the second size")
    child.sendline("exit")
    child.expect(pexpect.EOF)


def size(child):
    child.sendline("echo size=$(stty size)=")
    child.expect(r"size=(\d+ \d+)=")
    found = child.match.group(1)
    child.expect("# ")
    return found


def test_control_c(cli, name):
    child = spawn(cli, "run", "-it", "--rm", "--name", name(), IMAGE, "sh", "-c",
                  "trap 'echo interrupted; exit 5' INT; echo ready; while :; do sleep 0.1; done")
    child.expect("ready")
    child.sendcontrol("c")
    child.expect("interrupted")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 5


def test_control_d_ends_the_shell(cli, name):
    child = spawn(cli, "run", "-it", "--rm", "--name", name(), IMAGE, "sh")
    child.expect("# ")
    child.sendcontrol("d")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


@pytest.mark.parametrize("words, keys", [((), "\x10\x11"), (("--detach-keys", "ctrl-a,x"), "\x01x")])
def test_detach_leaves_it_running(cli, name, engine, words, keys):
    chosen = name()
    child = spawn(cli, "run", "-it", "--name", chosen, *words, IMAGE, "sh")
    child.expect("# ")
    for key in keys:
        child.send(key)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert engine.inspect(chosen)["State"]["Running"]


def test_attach_again_after_detaching(cli, name, engine):
    chosen = name()
    cli("run", "-dit", "--name", chosen, IMAGE, "sh")
    child = spawn(cli, "attach", chosen)
    time.sleep(0.3)
    child.sendline("echo here; X=kept")
    child.expect("here")
    child.send("\x10")
    child.send("\x11")
    child.expect(pexpect.EOF)
    child.close()
    again = spawn(cli, "attach", chosen)
    time.sleep(0.3)
    again.sendline("echo $X; exit 9")
    again.expect("kept")
    again.expect(pexpect.EOF)
    again.close()
    assert again.exitstatus == 9


def test_exec_with_a_terminal(cli, sleeper):
    child = spawn(cli, "exec", "-it", sleeper, "sh")
    child.expect("# ")
    cli.engine.wait_for(lambda: size(child) == "33 101", what="the size")
    child.setwinsize(20, 60)
    cli.engine.wait_for(lambda: size(child) == "20 60", what="the new size")
    child.sendline("exit 21")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 21


def test_the_terminal_is_given_back_as_it_was(apus, name):
    shell = pexpect.spawn("sh", env=apus.engine.environment(), timeout=20, encoding="utf-8", dimensions=(30, 90))
    shell.sendline("PS1='host> '; stty -a | md5sum > /tmp/before.$$")
    shell.expect("host> ")
    shell.sendline(f"{apus.program} run -it --rm --name {name()} {IMAGE} sh -c 'exit 3'; echo status=$?")
    shell.expect("status=3")
    shell.expect("host> ")
    shell.sendline("stty -a | md5sum | cmp - /tmp/before.$$ && echo same; rm /tmp/before.$$")
    shell.expect("\nsame")
    shell.sendline("exit")
    shell.expect(pexpect.EOF)


def test_no_terminal_to_give(cli, name):
    result = cli("run", "-it", "--rm", "--name", name(), IMAGE, "true", check=False)
    assert result.returncode != 0 and result.stderr


@pytest.mark.mirror
@pytest.mark.slow
def test_bash_in_debian(engine, docker, debian, name):
    """The stock client and a real shell: resize, Ctrl-C, detach keys, and exit status 42."""
    if not engine.is_apus:
        pytest.skip("the image is made by apus")
    chosen = name()
    child = spawn(docker, "run", "-it", "--name", chosen, debian, "bash")
    child.expect(r"root@\w+:/# ")
    child.setwinsize(50, 140)
    engine.wait_for(lambda: bash_size(child) == "50 140", what="the new size")
    child.sendline("sleep 100")
    time.sleep(0.3)
    child.sendcontrol("c")
    child.expect(r"root@\w+:/# ")
    child.send("\x10")
    child.send("\x11")
    child.expect(pexpect.EOF)
    child.close()
    assert engine.inspect(chosen)["State"]["Running"]
    child = spawn(docker, "attach", chosen)
    time.sleep(0.3)
    child.sendline("exit 42")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 42


def bash_size(child):
    child.sendline("echo size=$(stty size)=")
    child.expect(r"size=(\d+ \d+)=")
    found = child.match.group(1)
    child.expect(r"root@\w+:/# ")
    return found


def test_environment_of_a_terminal(cli):
    child = spawn(cli, "run", "-it", "--rm", IMAGE, "env")
    child.expect("TERM=xterm")
    child.expect(pexpect.EOF)
    assert os.environ is not None
