"""The parser of the command: one sentence for bad usage, with a suggestion, and help that wraps."""

import argparse
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from shiftnet_tf.errors import InputError, did_you_mean
from shiftnet_tf.system.command import Command, command


class _Formatter(argparse.HelpFormatter):
    """Wraps paragraphs, except indented ones, which are examples."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=min(100, shutil.get_terminal_size().columns) - 2)

    def _format_action(self, action: argparse.Action) -> str:
        """Format an argument; subcommands get one line each, without a common heading."""
        if isinstance(action, argparse._SubParsersAction):
            return "".join(self._format_action(member) for member in action._get_subactions())
        return super()._format_action(action)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        parts = text.strip("\n").split("\n\n")
        return "\n\n".join(
            x if x.startswith(" ") else super(_Formatter, self)._fill_text(x, width, indent) for x in parts
        )


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises InputError, with a suggestion for a misspelt word."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_Formatter, **options)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, and refuse unknown arguments here, where the options of the subcommand are known."""
        self._check_options(sys.argv[1:] if args is None else args)
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unknown {'option' if unknown[0].startswith('-') else 'argument'} {unknown[0]}")
        return options, unknown

    def _check_options(self, words: Sequence[str]) -> None:
        """Refuse unknown options first: a misspelt required option would otherwise be reported as missing."""
        known = self._option_string_actions
        for word in words:
            if word == "--" or (self._subparsers and not word.startswith("-")):  # the rest belongs to the subcommand
                return
            name = word.partition("=")[0]
            if word.startswith("--") and not any(option.startswith(name) for option in known):
                self.error(f"unknown option {name}{did_you_mean(name, known)}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        names = [str(choice) for choice in action.choices]
        what = "/".join(action.option_strings) or str(action.metavar or action.dest).lower()
        guess = did_you_mean(str(value), names) or f"; choose one of {', '.join(names)}"
        self.error(f"unknown {what} {value!r}{guess}")

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see `{self.prog} --help`)")


@dataclass(frozen=True)
class Subcommand:
    """The arguments and the action of `shiftnet NAME`; some have a script that does the same.

    Attributes:
        help: a line in the list of commands.
        description: paragraphs, and indented examples.
        add_arguments: adds its arguments to a parser.
        run: does the work and returns the exit code; None counts as 0.
        usage: a short form of its arguments, if there are many options; None: list all of them.
    """

    help: str
    description: str
    add_arguments: Callable[[argparse.ArgumentParser], object]
    run: Callable[[argparse.Namespace], int | None]
    usage: str | None = None

    def add_to(self, commands: "argparse._SubParsersAction[Parser]", name: str) -> None:
        """Add it to the commands of a parser."""
        parser = commands.add_parser(name, help=self.help)
        self._complete(parser)
        parser.set_defaults(subcommand=self)

    def _complete(self, parser: Parser) -> None:
        parser.description = self.description
        if self.usage:
            parser.usage = f"%(prog)s {self.usage}"
        self.add_arguments(parser)

    @property
    def main(self) -> Command:
        """The `main` of a script."""
        parser = Parser()
        self._complete(parser)
        parser.set_defaults(subcommand=self)
        return main_of(lambda: parser)


@dataclass(frozen=True)
class Group:
    """Subcommands of a subcommand.

    Attributes:
        help: a line in the list of commands.
        description: a paragraph.
        metavar: what its members are called.
        members: by their names.
    """

    help: str
    description: str
    metavar: str
    members: dict[str, Subcommand]

    def add_to(self, commands: "argparse._SubParsersAction[Parser]", name: str) -> None:
        """Add it to the commands of a parser."""
        add_commands(
            commands.add_parser(name, help=self.help, description=self.description), self.members, self.metavar
        )


def main_of(make_parser: Callable[[], Parser]) -> Command:
    """Return a `main` that runs the subcommand that its arguments name.

    `options.whole_process` tells it whether the arguments are those of the process, which it then owns.
    """

    @command
    def main(arguments: Sequence[str] | None = None) -> int | None:
        options = make_parser().parse_args(arguments)
        options.whole_process = arguments is None
        subcommand: Subcommand = options.subcommand
        return subcommand.run(options)

    return main


def add_commands(parser: Parser, members: Mapping[str, Subcommand | Group], metavar: str = "COMMAND") -> None:
    """Make a parser accept the name of a member and its arguments."""
    title = f"{metavar.lower()}s"
    commands = parser.add_subparsers(required=True, metavar=metavar, title=title, parser_class=Parser)
    for name, member in members.items():
        member.add_to(commands, name)
