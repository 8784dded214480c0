"""The local runtime: editors are plain processes of this machine, beside us, not beneath us.

They have sessions of their own and outlive us; after a restart we take them over again.
"""

from services.resource.runtimes.local.runtime import LocalRuntime

__all__ = ["LocalRuntime"]
