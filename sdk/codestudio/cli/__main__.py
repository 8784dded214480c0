"""Run the command: `python -m codestudio.cli`."""

from codestudio.cli import main

main()
