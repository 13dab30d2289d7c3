"""`shiftnet completion`: the script by which a shell completes the command with the Tab key, made by shtab."""

import argparse
import sys
from collections.abc import Callable, Iterator

from shiftnet_tf.cli.parsing import Parser, Subcommand
from shiftnet_tf.system.packages import import_optional

_SHELLS = ("bash", "zsh", "fish", "tcsh", "powershell")
_PATHS = {"PHOTO", "FILE", "DIR", "PATH", "MODEL", "RUN", "CONFIG", "PRESET"}  # metavars that name files or folders

_DESCRIPTION = """
Print the script by which a shell completes the command, its options and file names with the Tab key.

  shiftnet completion bash > ~/.local/share/bash-completion/completions/shiftnet
  shiftnet completion zsh > ~/.zfunc/_shiftnet        (a folder in $fpath)
  shiftnet completion fish > ~/.config/fish/completions/shiftnet.fish
"""


def completion(make_parser: Callable[[], Parser]) -> Subcommand:
    """Return the subcommand that prints the script for a parser."""

    def run(options: argparse.Namespace) -> None:
        shtab = import_optional("shtab", "shtab", "making a completion script", '"shiftnet-tf[completion]"')
        parser = make_parser()
        for action in _actions(parser):
            if action.metavar in _PATHS:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
        sys.stdout.write(shtab.complete(parser, options.shell) + "\n")

    return Subcommand("print a script for completion by Tab", _DESCRIPTION, _add_arguments, run)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=_SHELLS, help=f"one of {', '.join(_SHELLS)}")


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
