"""``python -m svl``."""

import sys

from svl.cli import main

if __name__ == "__main__":
    sys.exit(main())
