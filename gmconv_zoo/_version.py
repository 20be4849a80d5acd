"""The one place the version is written; pyproject.toml and the package read it from here."""

__version__ = "0.2.0"
# Where the package is installed from; OWNER is the account that hosts the repository.
REPOSITORY = "https://github.com/OWNER/gmconv_zoo"
