"""The pages of the documentation that are made from the code, and the checks of its build."""

from xmtf import __version__

__all__ = ["__version__"]
