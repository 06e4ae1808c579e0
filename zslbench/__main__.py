"""The command ``zslbench``, which is also ``python -m zslbench``."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C while it is loaded prints no traceback either."""
    try:
        from zslbench.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("\nzslbench: stopped.\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
