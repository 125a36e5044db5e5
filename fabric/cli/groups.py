"""A command that shows things, and has subcommands that change them."""

import click

from fabric.cli.command import Group


class ShowGroup(Group):
    """``fabric nodes`` and ``fabric nodes lab1`` show, ``fabric nodes drain lab1`` does.

    What is no subcommand is given to the one called ``show``, so that something of the name of a subcommand
    can still be shown: ``fabric nodes show drain``.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``show`` before what is meant for it."""
        wants_help = bool(args) and args[0] in ctx.help_option_names
        if not wants_help and (not args or args[0] not in self.commands):
            args.insert(0, "show")
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write both ways to call it."""
        name = ctx.command_path
        shown = self.commands["show"].collect_usage_pieces(click.Context(self.commands["show"], parent=ctx))
        formatter.write_usage(name, " ".join(shown))
        formatter.write_usage(name, "COMMAND ...")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of ``show``, then the subcommands."""
        show = self.commands["show"]
        inner = click.Context(show, info_name=ctx.info_name, parent=ctx.parent, **show.context_settings)
        show.format_options(inner, formatter)
        self.format_commands(ctx, formatter)
