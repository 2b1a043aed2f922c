# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import shutil
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from genevecap import __version__
from genevecap.analysis.results import Problem
from genevecap.cli import main as cli
from genevecap.cli.messages import Outcome, error_line
from genevecap.cli.options import CaptureType
from genevecap.decode import decoder_name
from genevecap.errors import ExitCode, GenevecapError, NotEnoughData, UsageError


def test_version_says_which_decoder_is_used():
    result = CliRunner().invoke(cli.main, ["--version"])
    assert result.stdout == f"genevecap {__version__} ({decoder_name()} decoder)\n"


def test_version_imports_little():
    code = (
        "import sys; from genevecap.cli.main import main; "
        "main(['--version'], standalone_mode=False); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.split())
    assert not {"json", "tabulate", "numpy", "asyncio", "pyshark", "dpkt", "csv"} & loaded
    assert not {
        name for name in loaded if name.startswith(("genevecap.analysis", "genevecap.reports"))
    }


def test_inspect_imports_nothing_that_it_does_not_need(samples):
    code = (
        "import sys; from genevecap.cli.main import main; "
        "main(sys.argv[1:], standalone_mode=False); print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "inspect", str(samples / "geneve-ovs.pcapng")],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    loaded = set(done.stderr.split())
    assert not {"numpy", "asyncio", "pyshark", "dpkt"} & loaded
    assert "genevecap.analysis.connections" not in loaded
    if decoder_name() == "compiled":
        assert not {each for each in loaded if each.startswith("genevecap.decode.protocols")}


def test_without_words_the_help_and_exit_code_2():
    result = CliRunner().invoke(cli.main, [])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Commands:" in result.stderr


def test_an_unknown_command():
    result = CliRunner().invoke(cli.main, ["nonsense"])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: No such command 'nonsense'")


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_exists_and_ends_with_an_example(name):
    command = cli.main.get_command(click.Context(cli.main), name)
    assert command.name == name
    assert command.get_short_help_str(100) == cli.COMMANDS[name]
    result = CliRunner().invoke(cli.main, [name, "--help"])
    assert result.exit_code == 0
    last = result.stdout.rstrip().splitlines()[-1]
    assert last.strip().startswith(f"Example: genevecap {name} ")
    assert name == "findings" or " samples/" in last  # the rules need no capture
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help


def find_tshark_or_skip():
    if shutil.which("tshark") is None:
        pytest.skip("no tshark here")


def test_examples_run(samples, tmp_path, monkeypatch):
    (tmp_path / "samples").symlink_to(samples)
    monkeypatch.chdir(tmp_path)
    for name in cli.COMMANDS:
        epilog = cli.main.get_command(click.Context(cli.main), name).epilog
        words = epilog.removeprefix("Example: genevecap ").split()
        if name == "verify":
            find_tshark_or_skip()
        result = CliRunner().invoke(cli.main, words)
        assert result.exit_code == 0, result.output


def test_python_m_is_the_same():
    done = subprocess.run(
        [sys.executable, "-m", "genevecap", "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.startswith("genevecap ")


def failing(error):
    """Return a group of one command that raises."""

    @click.group(cls=cli.LazyGroup)
    def group():
        pass

    @click.command
    def command():
        raise error

    group.get_command = lambda _ctx, _name: command
    return group


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UsageError("give one"), 2, "error: give one\n"),
        (NotEnoughData("no SYN"), 4, "error: no SYN\n"),
        (GenevecapError("a\x1b[2J\nb"), 3, "error: a\\x1b[2J\\nb\n"),
        (OSError(28, "No space left on device"), 3, "error: output: No space left on device\n"),
        (PermissionError(13, "Permission denied", "x\ny"), 3, "error: x\\ny: Permission denied\n"),
        (MemoryError(), 3, "error: out of memory\n"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 0, ""),
    ],
)
def test_every_error_has_one_line_and_its_exit_code(error, code, line):
    result = CliRunner().invoke(failing(error), ["command"])
    assert (result.exit_code, result.stderr, result.stdout) == (code, line, "")


def test_a_mistake_of_ours_is_not_hidden():
    result = CliRunner().invoke(failing(ZeroDivisionError()), ["command"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_precedence_of_exit_codes(capsys):
    outcome = Outcome()
    assert outcome.code == ExitCode.DONE
    outcome.problem(Problem(path="p", severity="warning", message="p: cut\x1b[1m"))
    assert outcome.code == ExitCode.DONE
    for code in (ExitCode.DIFFERENCE, ExitCode.NOT_ENOUGH_DATA):
        outcome.add(code)
        assert outcome.code == code
    outcome.problem(Problem(path="p", severity="error", message="p: damaged"))
    assert outcome.code == ExitCode.UNREADABLE
    outcome.add(ExitCode.INTERRUPTED)
    assert outcome.code == ExitCode.INTERRUPTED
    assert capsys.readouterr().err == "warning: p: cut\\x1b[1m\nerror: p: damaged\n"


def test_usage_errors_name_the_help():
    context = click.Context(cli.main, info_name="genevecap")
    line = error_line(click.UsageError("No such option: --x.", ctx=context))
    assert line == "error: No such option: --x (see genevecap --help)"


def test_captures_complete_as_files():
    (item,) = CaptureType().shell_complete(click.Context(cli.main), cli.main.params[0], "no")
    assert (item.type, item.value) == ("file", "no")


def test_shell_completion_knows_commands_and_options():
    def complete(*words):
        done = subprocess.run(
            [sys.executable, "-m", "genevecap"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={
                **os.environ,
                "_GENEVECAP_COMPLETE": "bash_complete",
                "COMP_WORDS": " ".join(words),
                "COMP_CWORD": str(len(words) - 1),
            },
        )
        return done.stdout.split()

    assert complete("genevecap", "ins") == ["plain,inspect"]
    assert "plain,--fail-on" in complete("genevecap", "inspect", "--fa")
