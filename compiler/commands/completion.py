"""Print a completion script for a shell. It is static: completing runs no cogc.

The script knows the commands, their options and the values of options at the time when it is printed.
"""

from __future__ import annotations

import argparse
import pkgutil
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Literal

from ..record import record
from ._parser import CommandParser

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """\
examples:
  source <(cogc completion bash)         now; in ~/.bashrc for every shell
  cogc completion zsh > ~/.zfunc/_cogc   with ~/.zfunc in fpath
  cogc completion fish > ~/.config/fish/completions/cogc.fish
"""

_SHELLS = ("bash", "zsh", "fish")
# Options that stand before or after any command; cogc.cli takes them out itself.
_GLOBAL = (("--debug", "show the programs that run, and tracebacks of cogc itself"), ("--no-color", "no colour"))
_FIRST = (("--help", "show help"), ("--version", "print the version"), *_GLOBAL)
_PLACEHOLDERS = ("CODE", "FILE")  # in a list of words, what stands for others
_PLATFORMS = ("linux/amd64", "linux/arm64")


@record
class _Argument:
    """An option, or the positional argument where `names` is empty.

    `values` are words that can follow; `takes` says what else can. An option whose value may be left out takes
    nothing here: what follows it is most often something else.
    """

    names: tuple[str, ...]
    help: str
    values: tuple[str, ...]
    takes: Literal["nothing", "word", "file", "directory"]


@record
class _Command:
    name: str
    summary: str
    options: tuple[_Argument, ...]
    positional: _Argument | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cogc completion`."""
    parser.add_argument("shell", choices=_SHELLS, metavar="bash|zsh|fish", help="the shell to complete in")


def run(arguments: argparse.Namespace) -> int:
    """Print the script and give the exit code."""
    writers: dict[str, Callable[[tuple[_Command, ...]], Iterator[str]]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
    print("\n".join(writers[arguments.shell](_commands())))
    return 0


# -- what can be completed -----------------------------------------------------------------------


def _commands() -> tuple[_Command, ...]:
    """Every command is a public module of this package, and the first sentence of its docstring is the summary."""
    modules = pkgutil.iter_modules([str(Path(__file__).parent)])
    names = sorted(module.name.replace("_", "-") for module in modules if not module.name.startswith("_"))
    return tuple(_command(name) for name in names)


def _command(name: str) -> _Command:
    module = import_module(f".{name.replace('-', '_')}", __package__)
    parser = CommandParser(f"cogc {name}")
    module.add_arguments(parser)
    parser.complete()
    actions = [action for action in parser._actions if action.help != argparse.SUPPRESS]
    arguments = tuple(_argument(name, action) for action in actions)
    return _Command(
        name=name,
        summary=_first_sentence(module.__doc__ or ""),
        options=tuple(argument for argument in arguments if argument.names),
        positional=next((argument for argument in arguments if not argument.names), None),
    )


def _argument(command: str, action: argparse.Action) -> _Argument:
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    values = tuple(str(choice) for choice in action.choices or ())
    if not values and "|" in metavar:
        values = tuple(word for word in metavar.split("|") if word not in _PLACEHOLDERS)
    if metavar == "OS/ARCH":
        values = _PLATFORMS
    if not action.option_strings:
        values += _words_of(command)
    return _Argument(
        names=tuple(action.option_strings), help=action.help or "", values=values, takes=_takes(action, metavar)
    )


def _takes(action: argparse.Action, metavar: str) -> Literal["nothing", "word", "file", "directory"]:
    if action.nargs == 0 or (action.nargs == "?" and action.option_strings):
        return "nothing"
    if "FILE" in metavar.split("|") or "--file" in action.option_strings:
        return "file"
    return "directory" if metavar == "DIRECTORY" else "word"


def _words_of(command: str) -> tuple[str, ...]:
    """Words that a command takes besides a file."""
    if command == "explain":
        from ..catalogue import CATALOGUE

        return tuple(CATALOGUE)
    return ()


def _first_sentence(docstring: str) -> str:
    """The first sentence as a phrase, fit for a menu.

    >>> _first_sentence("Print the\\nversion of cogc. And more.")
    'print the version of cogc'
    """
    sentence = re.split(r"(?<=[^.])\.(?:\s|$)|:\s", " ".join(docstring.split()), maxsplit=1)[0]
    return sentence[:1].lower() + sentence[1:]


# -- bash ----------------------------------------------------------------------------------------

_BASH = """\
# bash completion for cogc
_cogc() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" previous="" command="" words="" index
    ((COMP_CWORD > 0)) && previous="${{COMP_WORDS[COMP_CWORD - 1]}}"
    # bash splits --option=value into three words
    if [[ "$current" == "=" ]]; then
        current=""
    elif [[ "$previous" == "=" ]] && ((COMP_CWORD > 1)); then
        previous="${{COMP_WORDS[COMP_CWORD - 2]}}"
    fi
    for ((index = 1; index < COMP_CWORD; index++)); do
        case "${{COMP_WORDS[index]}}" in
            -*) ;;
            *) command="${{COMP_WORDS[index]}}"; break ;;
        esac
    done
    COMPREPLY=()
    case "$command" in
        "") words={first} ;;
{cases}
        help) words={names} ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o bashdefault -o default -F _cogc cogc"""

_BASH_COMMAND = """\
        {name})
            case "$previous" in
{options}                *) if [[ "$current" == -* ]]; then words={names}; else {positional}; fi ;;
            esac ;;"""


def _bash(commands: tuple[_Command, ...]) -> Iterator[str]:
    """With no word to offer, bash completes file names by itself (`-o default`)."""
    cases = [
        _BASH_COMMAND.format(
            name=command.name,
            options="".join(_bash_options(command)),
            names=_quoted([*(name for option in command.options for name in option.names), *_names(_GLOBAL)]),
            positional=_bash_values(command.positional),
        )
        for command in commands
    ]
    names = [command.name for command in commands]
    yield _BASH.format(first=_quoted([*names, *_names(_FIRST)]), cases="\n".join(cases), names=_quoted(names))


def _bash_options(command: _Command) -> Iterator[str]:
    for option in command.options:
        if option.takes != "nothing":
            yield f"                {'|'.join(option.names)}) {_bash_values(option)} ;;\n"


def _bash_values(argument: _Argument | None) -> str:
    if argument is None:
        return ":"
    if argument.takes == "directory":
        return 'COMPREPLY=($(compgen -d -- "$current")); return'
    return f"words={_quoted(argument.values)}" if argument.values else ":"


# -- zsh -----------------------------------------------------------------------------------------

_ZSH = """\
#compdef cogc
# zsh completion for cogc
_cogc() {{
    local context state state_descr line
    typeset -A opt_args
    _arguments -C \\
{first}
        '1:command:->command' \\
        '*::argument:->argument' && return
    case $state in
        command)
            local -a commands=(
{commands}
            )
            _describe command commands ;;
        argument)
            case $words[1] in
{cases}
            esac ;;
    esac
}}
if [ "$funcstack[1]" = "_cogc" ]; then
    _cogc "$@"
elif (( $+functions[compdef] )); then
    compdef _cogc cogc
fi"""


def _zsh(commands: tuple[_Command, ...]) -> Iterator[str]:
    cases = []
    for command in commands:
        words = [_zsh_option(option) for option in command.options]
        words += [_zsh_flag((name,), text) for name, text in _GLOBAL]
        if command.positional is not None:
            words.append(_apostrophes(f"1:{command.positional.help.split(';')[0]}:{_zsh_values(command.positional)}"))
        inner = " \\\n".join(f"                        {word}" for word in words)
        cases.append(f"                {command.name})\n                    _arguments \\\n{inner} ;;")
    yield _ZSH.format(
        first="\n".join(f"        {_zsh_flag((name,), text)} \\" for name, text in _FIRST),
        commands="\n".join(
            " " * 16 + _apostrophes(f"{command.name}:{command.summary.replace(':', chr(92) + ':')}")
            for command in commands
        ),
        cases="\n".join(cases),
    )


def _zsh_flag(names: tuple[str, ...], text: str, value: str = "") -> str:
    described = f"[{_zsh_text(text)}]{value}"
    together = f"({' '.join(names)})" if len(names) > 1 else ""
    equals = "=" if value else ""
    return " ".join(
        _apostrophes(f"{together}{name}{equals if name.startswith('--') else ''}{described}") for name in names
    )


def _zsh_option(option: _Argument) -> str:
    value = f":value:{_zsh_values(option)}" if option.takes != "nothing" else ""
    return _zsh_flag(option.names, option.help, value)


def _zsh_values(argument: _Argument) -> str:
    if argument.values and argument.takes == "file":
        return f"{{_alternative 'words:word:({' '.join(argument.values)})' 'files:file:_files'}}"
    if argument.values:
        return f"({' '.join(argument.values)})"
    return {"file": "_files", "directory": "_files -/"}.get(argument.takes, " ")


def _zsh_text(text: str) -> str:
    return re.sub(r"([\[\]:\\])", r"\\\1", text)


# -- fish ----------------------------------------------------------------------------------------


def _fish(commands: tuple[_Command, ...]) -> Iterator[str]:
    yield "# fish completion for cogc"
    names = " ".join(command.name for command in commands)
    yield f"set -l commands {names}"
    yield "complete -c cogc -f"
    for command in commands:
        yield (
            'complete -c cogc -n "not __fish_seen_subcommand_from $commands" '
            f"-a {command.name} -d {_fish_quoted(command.summary)}"
        )
    yield 'complete -c cogc -n "not __fish_seen_subcommand_from $commands" -l version -d "print the version"'
    for name, text in _GLOBAL:
        yield f"complete -c cogc -l {name[2:]} -d {_fish_quoted(text)}"
    for command in commands:
        seen = f'complete -c cogc -n "__fish_seen_subcommand_from {command.name}"'
        for option in command.options:
            yield f"{seen}{_fish_names(option)}{_fish_values(option)} -d {_fish_quoted(option.help)}"
        if command.positional is not None:
            yield f"{seen}{_fish_values(command.positional)}"


def _fish_names(option: _Argument) -> str:
    return "".join(f" -l {name[2:]}" if name.startswith("--") else f" -s {name[1:]}" for name in option.names)


def _fish_values(argument: _Argument) -> str:
    if argument.takes == "nothing":
        return ""
    words = f" -a {_fish_quoted(' '.join(argument.values))}" if argument.values else ""
    if argument.takes == "file":
        return f"{' -r' if argument.names else ''} -F{words}"
    if argument.takes == "directory":
        return " -a '(__fish_complete_directories)'"
    return f"{' -x' if argument.names else ''}{words}"


# -- quoting -------------------------------------------------------------------------------------


def _names(options: tuple[tuple[str, str], ...]) -> list[str]:
    return [name for name, _ in options]


def _quoted(words: tuple[str, ...] | list[str]) -> str:
    return _apostrophes(" ".join(words))


def _apostrophes(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
