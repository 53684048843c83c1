"""The parser of a command: its errors in one line, and a help that fits the terminal.

Options that many commands share, and few people need, are named in `--help` and explained in `--help-all`.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

from ..suggest import closest

__all__ = ["CommandParser"]

# Titles of groups that --help only names the options of.
_FOLDED = ("the image",)
_MOST_COLUMNS = 110


class CommandParser(argparse.ArgumentParser):
    """The parser of `cogc NAME`. `description` is refilled to the terminal; `epilog` holds its examples."""

    def __init__(self, prog: str, description: str | None = None, epilog: str | None = None, **more: Any) -> None:
        super().__init__(prog, None, description, epilog, formatter_class=_Formatter, allow_abbrev=False, **more)
        self._positionals.title = "arguments"

    def error(self, message: str) -> NoReturn:
        """Argument errors in one line, with a suggestion where an option is misspelt."""
        if message.startswith("unrecognized arguments: "):
            given = message.removeprefix("unrecognized arguments: ").split()[0]
            known = [option for action in self._actions for option in action.option_strings]
            near = closest(given.partition("=")[0], known) if given.startswith("-") else None
            message = f"unknown argument {given}" + (f"; did you mean {near}?" if near else "")
        print(f"{self.prog}: error: {message}\nTry `{self.prog} --help`.", file=sys.stderr)
        raise SystemExit(2)

    def complete(self) -> None:
        """Add what all commands have, once the command has added its own."""
        # Where `run` passes words on to a program, these two are that program's own.
        self.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)
        self.add_argument("--no-color", action="store_true", help=argparse.SUPPRESS)
        is_folded = any(group.title in _FOLDED for group in self._action_groups)
        text = "show this help with every option explained" if is_folded else argparse.SUPPRESS
        self.add_argument("--help-all", action=_HelpAll, nargs=0, help=text)

    def format_usage(self) -> str:
        """One line: the options have lines of their own below."""
        formatter = self._get_formatter()
        formatter._prog = f"{self.prog} [options]"
        formatter.add_usage(None, [action for action in self._actions if not action.option_strings], [])
        return formatter.format_help()

    def format_help(self, *, shows_all: bool = False) -> str:
        """The help; without `shows_all` some groups are only named."""
        formatter = self._get_formatter()
        for text in (self.description or "").split("\n\n"):
            formatter.add_text(text)
        for group in self._action_groups:
            shown = [action for action in group._group_actions if action.help != argparse.SUPPRESS]
            is_folded = group.title in _FOLDED and not shows_all
            formatter.start_section(f"{group.title} (--help-all explains these)" if is_folded else group.title)
            if is_folded:
                formatter.add_text(", ".join(action.option_strings[-1] for action in shown))
            else:
                formatter.add_arguments(shown)
            formatter.end_section()
        return "\n".join([self.format_usage(), formatter.format_help(), *_examples(self.epilog or "", _width())]) + "\n"


class _HelpAll(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        assert isinstance(parser, CommandParser)
        print(parser.format_help(shows_all=True), end="")
        parser.exit()


class _Formatter(argparse.HelpFormatter):
    """Names of options are never broken, and have their value once: `-o, --output PATH`."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=_width())

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        value = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(action.option_strings)} {value}"

    def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
        if action.nargs == argparse.REMAINDER:
            return f"{action.metavar or default_metavar} ..."
        return super()._format_args(action, default_metavar)

    def _split_lines(self, text: str, width: int) -> list[str]:
        import textwrap

        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = self._split_lines(text, width - len(indent))
        return "\n".join(indent + line for line in lines)


def _width() -> int:
    return max(min(shutil.get_terminal_size((100, 24)).columns, _MOST_COLUMNS) - 2, 38)


def _examples(text: str, width: int) -> Iterator[str]:
    """The examples; where they are too wide, what stands behind each command moves below it."""
    import textwrap

    lines = text.splitlines()
    is_wide = any(len(line) > width for line in lines)
    for line in lines:
        found = re.fullmatch(r"(  \S.*?) {2,}(\S.*)", line) if is_wide else None
        if found is None:
            yield line
            continue
        yield found[1]
        yield from textwrap.wrap(found[2], width, initial_indent=" " * 6, subsequent_indent=" " * 6)
