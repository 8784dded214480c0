"""The package's version, as installed."""

import importlib.metadata

__version__: str = importlib.metadata.version("codestudio")
