"""One transaction in a database of recipes, committed where its block ends well."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.databases import writing
from shared.databases.engine import Writer
from shared.databases.session import Session


@asynccontextmanager
async def saving(url: str) -> AsyncIterator[Session[Writer]]:
    """`await database.run(work, …)` in it, as often as needed. Raises what the database refuses, as Permanent or
    Transient."""
    async with writing(url) as database:
        yield database
        await database.run(lambda writer: writer.commit())
