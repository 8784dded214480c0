"""The `codestudio` command."""

import sys


def main() -> None:
    """Run the command; the console script's entry."""
    try:
        import rich
        import typer
        import yaml
    except ModuleNotFoundError as error:
        print(
            f"codestudio: {error.name} is missing; install the command with "
            "pip install './sdk[cli]' in the checkout",
            file=sys.stderr,
        )
        raise SystemExit(1) from None
    del rich, typer, yaml
    from codestudio.cli import _app

    _app.app(prog_name="codestudio")
