"""timm entrypoints. Every file here whose name starts with ``gmconv_`` is imported, which registers its models."""

from importlib import import_module
from pkgutil import iter_modules

for _found in iter_modules(__path__):
    if _found.name.startswith("gmconv_"):
        import_module(f"{__name__}.{_found.name}")
