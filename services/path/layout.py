"""The directories every instance has (specification, DynamicPathManager.calculatePaths)."""

from collections.abc import Mapping

PROJECT_ROOT = "project_root"
"""Type of an instance's own directory, which holds all the others."""

WORKSPACE = "workspace"
"""Type of the directory of the developer's files, and its name."""

CUSTOM = "custom"
"""Type of every path that is none of these."""

DIRECTORIES: Mapping[str, bytes] = {
    "user_data": b"user-data",
    "extensions": b"extensions",
    "workspace": b"workspace",
    "logs": b"logs",
    "temp": b"temp",
}
"""Name of each directory, by its type."""

TYPES: Mapping[bytes, str] = {name: path_type for path_type, name in DIRECTORIES.items()}
"""Type of each directory, by its name."""


def path_type(parts: tuple[bytes, ...]) -> str:
    """Tell the type of a path, given name by name from the instance's own directory."""
    if not parts:
        return PROJECT_ROOT
    return TYPES.get(parts[0], CUSTOM) if len(parts) == 1 else CUSTOM
