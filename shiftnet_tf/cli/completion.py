"""`shiftnet completion`: the script by which a shell completes the command with the Tab key, made by shtab."""

import argparse
import sys
from collections.abc import Callable, Iterator

from shiftnet_tf.cli.parsing import Parser, Subcommand
from shiftnet_tf.system.packages import check_installed

_SHELLS = ("bash", "zsh", "fish", "tcsh", "powershell")
_PATHS = {"PHOTO", "FILE", "DIR", "PATH", "MODEL", "RUN", "CONFIG", "PRESET"}  # metavars that name files or folders

_DESCRIPTION = """
Print a script that lets your shell complete subcommands, options and file names with the Tab key.

  shiftnet completion bash > ~/.local/share/bash-completion/completions/shiftnet
  shiftnet completion zsh > ~/.zfunc/_shiftnet        (a folder in $fpath)
  shiftnet completion fish > ~/.config/fish/completions/shiftnet.fish
"""


def completion(make_parser: Callable[[], Parser]) -> Subcommand:
    """Return the subcommand that prints the script for a parser."""

    def run(options: argparse.Namespace) -> None:
        check_installed("shtab", "completion", "making a completion script")
        import shtab

        parser = make_parser()
        for action in (action for each in parsers(parser) for action in each._actions):
            if action.metavar in _PATHS:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
        sys.stdout.write(shtab.complete(parser, options.shell) + "\n")

    return Subcommand("print a shell completion script", _DESCRIPTION, _add_arguments, run)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=_SHELLS, help=f"print the script for {', '.join(_SHELLS)}")


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield a parser and those of its subcommands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for member in action.choices.values():
                yield from parsers(member)
