"""What `import *` of a package brings."""

from __future__ import annotations

import types
from typing import Any


def without_submodules(package: dict[str, Any]) -> None:
    """Give a package, by its `globals()`, an `__all__` of its public names that are no modules.

    It is set from here because a type checker would take a computed list in the package itself for an empty one.
    """
    package["__all__"] = [
        name for name, value in package.items() if not (name.startswith("_") or isinstance(value, types.ModuleType))
    ]
