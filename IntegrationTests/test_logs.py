"""logs, and the streams that follow them."""

import re
import time

import pytest

from engines import IMAGE

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
def talker(cli, name):
    chosen = name()
    cli("run", "--name", chosen, IMAGE, "sh", "-c", "for i in 1 2 3 4 5; do echo line $i; done; echo err >&2; printf end")
    return chosen


def test_both_streams(cli, talker):
    result = cli("logs", talker)
    assert result.stdout.splitlines() == [f"line {number}" for number in range(1, 6)] + ["end"]
    assert result.stderr == "err\n"


def test_tail(cli, talker):
    result = cli("logs", "--tail", "3", talker)
    lines = result.stdout.splitlines() + result.stderr.splitlines()
    assert len(lines) == 3 and "end" in lines


def test_timestamps(cli, talker):
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z line 1", cli.out("logs", "-t", talker))


def test_since_and_until(cli, name):
    chosen = name()
    cli("run", "--name", chosen, IMAGE, "sh", "-c", "echo early; sleep 1.2; echo late")
    stamps = [line.split()[0] for line in cli.out("logs", "-t", chosen).splitlines()]
    middle = stamps[1]
    assert cli.out("logs", "--since", middle, chosen) == "late"
    assert cli.out("logs", "--until", stamps[0], chosen) in ("early", "")
    assert cli.out("logs", "--since", "1h", chosen).split() == ["early", "late"]


def test_follow_until_the_end(cli, name):
    chosen = name()
    cli("run", "-d", "--name", chosen, IMAGE, "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.2; done")
    assert cli.out("logs", "-f", chosen).split() == ["1", "2", "3"]


def test_follow_shows_lines_as_they_come(cli, name):
    chosen = name()
    cli("run", "-d", "-i", "--name", chosen, IMAGE, "sh", "-c", "echo first; sleep 100")
    process = cli.popen("logs", "-f", chosen)
    assert process.stdout.readline() == b"first\n"
    process.terminate()
    process.wait(timeout=10)
    process.stdout.close()
    process.stderr.close()


def test_a_terminals_output_has_no_frames(cli, name):
    chosen = name()
    cli("run", "-d", "-t", "--name", chosen, IMAGE, "echo", "plain")
    cli("wait", chosen)
    assert cli.out("logs", chosen).strip() == "plain"


def test_a_long_line_comes_whole(cli, name):
    chosen = name()
    cli("run", "--name", chosen, IMAGE, "sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x; echo")
    assert cli.out("logs", chosen) == "x" * 300000


def test_rotation_keeps_the_newest(cli, name):
    chosen = name()
    cli("run", "--name", chosen, "--log-opt", "max-size=20k", "--log-opt", "max-file=2", IMAGE, "seq", "1", "5000")
    lines = cli.out("logs", chosen).split()
    assert lines[-1] == "5000" and 100 < len(lines) < 5000
    assert lines == [str(number) for number in range(int(lines[0]), 5001)]


def test_no_log(cli, name):
    chosen = name()
    cli("run", "--name", chosen, "--log-driver", "none", IMAGE, "echo", "gone")
    result = cli("logs", chosen, check=False)
    assert result.stdout == ""


def test_every_line_of_a_talkative_container(cli, name):
    chosen = name()
    cli("run", "-d", "--name", chosen, IMAGE, "seq", "1", "100000")
    cli("wait", chosen)
    assert cli.out("logs", chosen).split() == [str(number) for number in range(1, 100001)]


def test_what_was_printed_before_attaching_is_in_the_log_only(cli, name):
    chosen = name()
    cli("run", "-d", "--name", chosen, IMAGE, "sh", "-c", "echo before; sleep 0.8; echo after")
    time.sleep(0.3)
    assert cli.out("attach", "--no-stdin", chosen) == "after"
    assert cli.out("logs", chosen).split() == ["before", "after"]
