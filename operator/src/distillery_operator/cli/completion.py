"""``distillery completion``: what lets a shell complete a command line."""

import click
from click import shell_completion

from distillery_operator.cli.exit_codes import Exit


@click.command("completion")
@click.argument(
    "shell", type=click.Choice(["bash", "zsh", "fish"]), metavar="SHELL", help="bash, zsh or fish"
)
@click.pass_context
def command(context: click.Context, shell: str) -> Exit:
    """Print the script that lets a shell complete a command line.

    In ~/.bashrc: eval "$(distillery completion bash)". In ~/.zshrc, after compinit:
    eval "$(distillery completion zsh)".
    """
    kind = shell_completion.get_completion_class(shell)
    assert kind is not None
    program = context.find_root().command
    click.echo(kind(program, {}, "distillery", "_DISTILLERY_COMPLETE").source())
    return Exit.DONE
