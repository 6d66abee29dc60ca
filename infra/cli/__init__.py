"""`longshore`: the command line.

Rules of this package:
1. A command is a file in `commands/`, short enough to be read at once; it imports what is heavy when it runs.
2. What somebody asked for goes to stdout; hints, progress and errors go to stderr. `--json` is for programs.
3. Exit codes are an interface (`docs/cli.md`): 0 done, 1 the job failed, 2 bad input, 3 not found, 4 no endpoint, 130.
4. A password is never echoed, stored in a job or written to a log.
"""

import sys


def main() -> None:
    """The program's entry point."""
    from infra.cli.app import run

    sys.exit(run(sys.argv[1:]))
