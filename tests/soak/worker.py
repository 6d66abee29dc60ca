"""`longshore worker`, the program itself, with the soak's jobs in the place of `generic`."""

import sys

from handlers.jobs import generic
from infra.cli.app import run
from tests.soak.jobs import soak

if __name__ == "__main__":
    generic.generic = soak
    sys.exit(run(["worker", *sys.argv[1:]]))
