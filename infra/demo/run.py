"""The demonstration, from an empty directory to a proof.

    sample shop → local cloud → extract orders, extract order lines, back up → restore into an empty database → proofs
    sample film →               a flow: download → transcode to three sizes → upload

Everything takes the real path: payloads are submitted as any producer's are, the functions run in processes of their
own behind real queues, and what is proved is what a client can download.
"""

import asyncio
import shutil
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import aiohttp
from rich.console import Console

from infra.cli.artifacts import download
from infra.cli.cloud import HOME, local_cloud
from infra.cli.connect import jobs_at
from infra.cli.options import Options
from infra.cli.places import Document
from infra.cli.render import print_json, size, stdout
from infra.cli.watching import Bars, changes
from infra.demo.film import FILM, film_flow, prove_film
from infra.demo.proof import Unequal, prove_equal
from infra.demo.read_back import prove_extracted, rows_of_csv_gz, rows_of_parquet
from infra.demo.sample import make_sample
from infra.demo.told import Checked, Finished, document, tell
from infra.demo.video import generate
from shared.payloads.backup import BackupPayload
from shared.payloads.base import Payload
from shared.payloads.extract import ExtractOptions, ExtractPayload
from shared.payloads.restore import RestorePayload
from shared.payloads.results import ProcessResult
from shared.runtime.api.system import UploadPlace
from shared.status import Status
from shared.view import JobView

if TYPE_CHECKING:
    from infra.cli.client import Jobs

T = TypeVar("T")

PATIENCE_S: Final = 300


async def demonstrate(where: Options, home: Path = HOME / "demo", *, scale: float = 1.0) -> int:
    """→ 0 if everything was proved, else 1. Whatever was in `home` is replaced. `scale` 1 is 410,000 rows."""
    console, began_s = Console(quiet=True) if where.json else stdout(), time.monotonic()
    await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)
    shop = home / "shop.db"
    rows = make_sample(shop, scale=scale)
    await asyncio.to_thread(generate, home / FILM.name, FILM.seconds, FILM.size)
    console.print(f"A web shop: {sum(rows.values()):,} rows in {len(rows)} tables, {size(shop.stat().st_size)}  {shop}")
    async with local_cloud(where, home / "cloud.log") as cloud:
        console.print(f"A local cloud, from template.yaml: {cloud.endpoint_url}\n")
        here = replace(where, endpoint=cloud.endpoint_url)
        finished = await _beside(cloud.serve(), _Play(here, home, console).perform(shop))
    checks = prove(home) if all(one.job.status is Status.SUCCESS for one in finished) else []
    proved = bool(checks) and all(check.difference is None for check in checks)
    tell(console, finished, checks)
    console.print(_last_words(proved=proved, seconds=time.monotonic() - began_s, log=home / "cloud.log"))
    if where.json:
        print_json(document(finished, checks))
    return 0 if proved else 1


class _Play:
    """The jobs, one after another or side by side, each with a bar."""

    def __init__(self, where: Options, home: Path, console: Console) -> None:
        self._where = where
        self._home = home
        self._bars = Bars(console)

    async def perform(self, shop: Path) -> list[Finished]:
        async with jobs_at(self._where) as jobs:
            with self._bars:
                film = film_flow(await self._uploaded(jobs, self._home / FILM.name), self._where.tenant)
                first = await self._run(jobs, {"film": film} | self._readings(_url(shop)))
                backup = first[-1].url
                if backup is None:
                    return first
                restored = self._home / "restored.db"
                restore = RestorePayload(tenant_id=self._where.tenant, database=_url(restored), backup_url=backup)
                (last,) = await self._run(jobs, {"restore": restore})
                return [*first, replace(last, made=restored)]

    def _readings(self, database: str) -> dict[str, Payload]:
        """What runs side by side; the backup last."""
        tenant = self._where.tenant
        gzip = ExtractOptions(compression="gzip")
        return {
            "orders": ExtractPayload(tenant_id=tenant, database=database, tables=("orders",), output_format="parquet"),
            "order_lines": ExtractPayload(
                tenant_id=tenant, database=database, tables=("order_lines",), output_format="csv", options=gzip
            ),
            "backup": BackupPayload(tenant_id=tenant, database=database),
        }

    async def _uploaded(self, jobs: "Jobs", path: Path) -> str:
        """Put a file where jobs can read it, as any producer does; → its URL."""
        body = await asyncio.to_thread(path.read_bytes)
        ask: Document = {"name": path.name, "size_bytes": len(body)}
        place = await jobs.ask(UploadPlace, "POST", "/uploads", document=ask)
        async with aiohttp.ClientSession() as session, session.put(place.href, data=BytesIO(body)) as answer:
            answer.raise_for_status()
        return place.url

    async def _run(self, jobs: "Jobs", payloads: Mapping[str, Payload]) -> list[Finished]:
        """Submit them all, follow them to their ends, fetch what they left."""
        names: dict[str, str] = {}
        ends: dict[str, JobView] = {}
        for name, payload in payloads.items():
            accepted = await jobs.submit(payload.model_dump(mode="json", by_alias=True))
            names[accepted.job_id] = name
            self._bars.call(accepted.job_id, name)
        async for job in changes(jobs, [*names]):
            ends[job.job_id] = job
            self._bars.see(job)
        return [await self._fetched(name, ends[job_id], jobs) for job_id, name in names.items()]

    async def _fetched(self, name: str, job: JobView, jobs: "Jobs") -> Finished:
        directory = self._home / "out" / name
        result = await jobs.result(job.job_id)
        if not result.success:
            return Finished(name, job, None, directory)
        await download(result, jobs.stream, directory, lambda *_: None)
        is_flow = job.type == "flow"
        return Finished(name, job, None if is_flow else ProcessResult.model_validate(result.data.result), directory)


def prove(home: Path) -> list[Checked]:
    """Hold what was fetched and restored against the shop, cell by cell, and look into every film."""
    shop, out = home / "shop.db", home / "out"

    def everything() -> str:
        proofs = prove_equal(shop, home / "restored.db")
        cells = sum(proof.rows * proof.columns for proof in proofs)
        return f"is equal, row for row: {len(proofs)} tables, {sum(p.rows for p in proofs):,} rows, {cells:,} cells"

    def extracted(table: str, path: Path) -> str:
        rows = rows_of_parquet(path) if path.suffix == ".parquet" else rows_of_csv_gz(path)
        return f"read back: all {prove_extracted(shop, table, rows).rows:,} rows are as in the shop"

    return [
        _check("orders.parquet", lambda: extracted("orders", out / "orders" / "orders.parquet")),
        _check("order_lines.csv.gz", lambda: extracted("order_lines", out / "order_lines" / "order_lines.csv.gz")),
        _check("restored.db", everything),
        _check("film", lambda: prove_film(out / "film")),
    ]


def _check(name: str, prove: Callable[[], str]) -> Checked:
    try:
        return Checked(name, prove())
    except Unequal as difference:
        return Checked(name, "", str(difference))


async def _beside(serving: Coroutine[object, object, None], work: Coroutine[object, object, T]) -> T:
    """The work's value. Raises what the cloud raises, if it ends first, and TimeoutError after five minutes."""
    async with asyncio.timeout(PATIENCE_S):
        tasks = cloud, working = asyncio.ensure_future(serving), asyncio.ensure_future(work)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if cloud.done():
                cloud.result()
            return await working
        finally:
            for task in tasks:
                task.cancel()


def _url(path: Path) -> str:
    return f"sqlite:///{path.absolute()}"


def _last_words(*, proved: bool, seconds: float, log: Path) -> str:
    if not proved:
        return f"\n[bold red]Not proved[/], after {seconds:.0f} s. What the functions said: {log}"
    return f"\n[bold green]Everything is proved[/], in {seconds:.0f} s. This cloud has ended; next: longshore up"
