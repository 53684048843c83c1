"""The environment of templates that a project brings: a sandbox in which every rendering comes to an end."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from jinja2 import TemplateRuntimeError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

__all__ = ["MAX_LENGTH", "MAX_STEPS", "BoundedEnvironment"]

# A Dockerfile has some hundred steps of loops and macros, and no value as long as this.
MAX_STEPS = 100_000
MAX_LENGTH = 1_000_000
_MAX_POWER_BITS = 10_000

_steps: ContextVar[int] = ContextVar("_steps", default=0)


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """Counts the passes of loops and the calls of macros, and refuses products and powers without measure.

    `start` begins a rendering. What goes beyond a limit raises TemplateRuntimeError.
    """

    intercepted_binops = frozenset(("*", "**"))

    def start(self) -> None:
        """Count from 0 again."""
        _steps.set(0)

    def count_step(self) -> str:
        """One pass of a loop or one call of a macro; stands at the start of each body, and prints nothing."""
        steps = _steps.get() + 1
        if steps > MAX_STEPS:
            raise TemplateRuntimeError(f"more than {MAX_STEPS:,} passes of loops and calls of macros")
        _steps.set(steps)
        return ""

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """A product or a power, if it has a measure."""
        if operator == "*" and _length(left) * _count(right) + _length(right) * _count(left) > MAX_LENGTH:
            raise TemplateRuntimeError(f"a product of more than {MAX_LENGTH:,} items")
        if operator == "**" and _bits(left) * _count(right) > _MAX_POWER_BITS:
            raise TemplateRuntimeError(f"a power of more than {_MAX_POWER_BITS:,} bits")
        return super().call_binop(context, operator, left, right)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        bodies: tuple[type[nodes.For | nodes.Macro | nodes.CallBlock], ...] = (nodes.For, nodes.Macro, nodes.CallBlock)
        for node in tree.find_all(bodies):
            counting = nodes.Call(nodes.EnvironmentAttribute("count_step"), [], [], None, None)
            node.body.insert(0, nodes.ExprStmt(counting, lineno=node.lineno).set_environment(self))
        return tree


def _length(value: object) -> int:
    return len(value) if isinstance(value, (str, list, tuple)) else 0


def _count(value: object) -> int:
    return max(value, 0) if isinstance(value, int) else 0


def _bits(value: object) -> int:
    return value.bit_length() if isinstance(value, int) else 0
