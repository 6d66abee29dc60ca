"""The dead-letter function itself, with a second for what takes half a minute."""

from handlers.dead_letter import handler  # noqa: F401  # what the template names
from shared import dead_letters

dead_letters.hide_s = lambda returned: 1 + returned
