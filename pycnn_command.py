"""The command `pycnn`. It stands outside the package to say in one line why the package cannot be imported."""

import os
import sys


def main() -> int:
    """Run the command line; 2 where pycnn or its environment is unusable, 130 after Ctrl-C."""
    try:
        from pycnn import cli
    except KeyboardInterrupt:
        print("pycnn: interrupted", file=sys.stderr)
        return 130
    except (ImportError, ValueError) as error:
        if os.environ.get("PYCNN_TRACEBACK"):
            raise
        print(f"pycnn: {str(error).removeprefix('pycnn: ')}", file=sys.stderr)
        return 2
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
