"""Become the millrace program that this package carries."""

import os
import pathlib
import sys


def main() -> None:
    program = pathlib.Path(__file__).parent / "bin" / "millrace"
    # The demo makes its trainer's environment with this interpreter unless another one is named.
    os.environ.setdefault("PYTHON", sys.executable)
    os.execv(program, ["millrace", *sys.argv[1:]])


if __name__ == "__main__":
    main()
