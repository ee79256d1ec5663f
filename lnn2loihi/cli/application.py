"""The application that the verbs belong to: their order, examples in their help, which one runs."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from lnn2loihi.cli.road import EXAMPLES, ORDER, PANELS
from lnn2loihi.startup import importing

#: Name of the verb that was called last in this process; empty before there was one.
_called = ""


def called_verb() -> str:
    """The verb that runs, or whose arguments are being read; empty where there is none."""
    return _called


def forget_verb() -> None:
    """Says that no verb has been called yet."""
    global _called
    _called = ""


class Verb(TyperCommand):
    """A verb: its help ends with commands to try.

    Where its options name the executors that packages have registered, `{executors}` stands for
    them: the names are read when the help is shown, and nothing is loaded for it.
    """

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **more: Any) -> Any:
        """Notes which verb it is, also where its arguments turn out to be wrong."""
        global _called
        _called = info_name or ""
        return super().make_context(info_name, args, *rest, **more)

    def invoke(self, ctx: Any) -> Any:
        """Refuses what was left out, which typer 0.16 with click 8.5 does not."""
        for parameter in self.params:
            if parameter.required and ctx.params.get(parameter.name) is None:
                kind = parameter.param_type_name
                name = parameter.name if kind == "argument" else " / ".join(parameter.opts)
                ctx.fail(f"Missing {kind} {name!r}.")
        return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The help, with the names and the examples."""
        self._name_executors()
        super().format_help(ctx, formatter)
        examples = EXAMPLES.get(self.name or "", ())
        if examples:
            typer.echo(f"Examples:\n\n{_commands(examples)}\n")

    def _name_executors(self) -> None:
        texts = {option: getattr(option, "help", None) or "" for option in self.params}
        naming = {option: text for option, text in texts.items() if "{executors}" in text}
        if not naming:
            return
        with importing():
            from lnn2loihi.registry import Registry

        names = ", ".join(Registry("lnn2loihi.executors", "executor", object).names())
        for option, text in naming.items():
            option.help = text.replace("{executors}", names)  # type: ignore[attr-defined]


def _commands(examples: tuple[str, ...]) -> str:
    """Commands in lines that fit the terminal, and can be copied as they are."""
    with importing():
        from lnn2loihi.tables import width

    lines: list[str] = []
    for example in examples:
        parts = textwrap.wrap(
            example, width() - 2, initial_indent="  ", subsequent_indent="      ",
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        lines += [f"{part} \\" for part in parts[:-1]] + parts[-1:]
    return "\n".join(lines)


class Road(TyperGroup):
    """All verbs, in the order of the road; others after them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the verbs, in order."""
        known = {verb: place for place, verb in enumerate(ORDER)}
        return sorted(super().list_commands(ctx), key=lambda verb: known.get(verb, len(known)))


class Application(typer.Typer):
    """Verbs are of the class Verb, and stand in the panel of their part of the road."""

    def command(self, name: str | None = None, **options: Any) -> Callable[..., Any]:
        """As of typer."""
        options.setdefault("cls", Verb)

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            verb = name or function.__name__.replace("_", "-")
            options.setdefault("rich_help_panel", PANELS.get(verb))
            return super(Application, self).command(name, **options)(function)

        return register


app = Application(
    cls=Road,
    help="Liquid neural networks on Intel Loihi 2: quantize, simulate, verify, place, cost.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
