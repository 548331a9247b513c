"""Where the results of figures are kept."""

from pathlib import Path

RECORDS = Path("reproduce")
"""Below the folder of all runs: the results of this machine."""
GALLERY = Path("docs") / "gallery"
"""Below the working directory or a checkout: the results that came with svl."""
