"""`make bench`: what a job costs. Compared things run in turns, figures are medians, and the machine is noisy.

python -m tests.bench [--json] [--many] [cost] [cpu] [cold] [front] [flows] [planner] [databases] [bulk] [sync]
"""

import asyncio
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict

from shared.runtime.logs import configure_logs
from tests.bench import bulk, cold_start, databases, flows, front, planner, sync, worker_cpu
from tests.bench.fan_in_limits import limits
from tests.bench.fan_in_simulation import carried
from tests.bench.prices import dollars
from tests.bench.scenarios import JOBS, largest_rows, play_all

Table = list[dict[str, object]]

CHILDREN = 250
"""Of the flows that are measured."""


def cost() -> Table:
    """Per job, counted at the wire in batches of ten; dollars per million (us-east-1), also for one job at a time."""
    return [
        {
            "scenario": found.scenario.name,
            "write units": (found.busy.write_units + found.busy.index_units) / JOBS,
            "at most": found.scenario.units_max or "",
            "requests": sum(count for name, count in found.busy.requests.items() if _is_billed(name)) / JOBS,
            "$ per million": sum(dollars(found.busy).values()) / JOBS,
            "one at a time": sum(dollars(found.trickle).values()) / JOBS,
        }
        for found in asyncio.run(play_all())
    ]


def _is_billed(request: str) -> bool:
    """AWS reads the stream for the reactor, and invokes functions: neither is a request of ours."""
    return not request.startswith(("dynamodbstreams", "lambda"))


def row_sizes() -> Table:
    """A typical job's row at its largest, in bytes: beyond 1,024 every write costs twice."""
    return [{"job type": name, "bytes": size} for name, size in asyncio.run(largest_rows()).items()]


def cpu() -> Table:
    """Milliseconds of worker CPU per job that does nothing; the loop by hand claims and finishes once each, too."""
    return [asdict(comparison) for comparison in worker_cpu.measure()]


def cold() -> Table:
    """Milliseconds of CPU until a function's first clients stand, against bare aiobotocore with the same clients."""
    return [asdict(start) for start in cold_start.measure()]


def api() -> Table:
    """Reading a job through the HTTP API of the local cloud, and its row by GetItem from the endpoint, in turns."""
    return [asdict(speed) for speed in front.speeds()]


def watchers() -> Table:
    """Milliseconds from a job's write to its event at a watcher, through the stream, `broadcast` and the WebSocket."""
    return [front.delays()]


def page() -> Table:
    """The dashboard in bytes, as it is and as it is sent."""
    return front.weights()


def planning() -> Table:
    """Milliseconds of CPU: reading and checking a flow, and planning one round of it."""
    return [asdict(planned) for planned in planner.measure()]


def children() -> Table:
    """A flow's children and the same jobs by themselves, counted at the wire, each of them."""
    found = asyncio.run(flows.compared(CHILDREN))
    tallies = {"children of a flow": found.with_flow, "jobs by themselves": found.without}
    return [
        {"what": what, "write units": found.per_child(tally), "requests": found.requests(tally)}
        for what, tally in tallies.items()
    ]


def local() -> Table:
    """Seconds of the local cloud for so many jobs, alone and as a flow."""
    return flows.on_the_local_cloud(CHILDREN)


SECTIONS: dict[str, Sequence[Callable[[], Table]]] = {
    "cost": (cost, row_sizes),
    "cpu": (cpu,),
    "cold": (cold,),
    "front": (api, watchers, page),
    "flows": (children, limits, carried, local),
    "planner": (planning,),
}


def main(arguments: Sequence[str]) -> int:
    configure_logs("ERROR")
    known = [*SECTIONS, "databases", "bulk", "sync"]
    asked = [word for word in arguments if not word.startswith("--")] or known
    if unknown := {*arguments} - {*known, "--json", "--many"}:
        print(f"not known: {', '.join(sorted(unknown))}; sections are {', '.join(known)}", file=sys.stderr)
        return 2
    held, everything = True, {}
    for section in (section for name in asked for section in SECTIONS.get(name, ())):
        everything[section.__name__] = section()
        if "--json" not in arguments:
            _show(section, everything[section.__name__])
    if "--json" in arguments:
        print(json.dumps(everything, indent=1))
        return 0
    if "databases" in asked:
        held &= databases.main(many="--many" in arguments)
    if "bulk" in asked:
        held &= bulk.main()
    if "sync" in asked:
        held &= sync.main()
    return 0 if held else 1


def _show(section: Callable[[], Table], rows: Table) -> None:
    print(f"\n{section.__name__.replace('_', ' ').upper()}  {section.__doc__}\n")
    names = list(rows[0])
    cells = [names, *([_text(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(names))]
    for line in cells:
        print("  ".join(_aligned(zip(line, widths, strict=True))).rstrip())


def _aligned(pairs: Iterable[tuple[str, int]]) -> Iterable[str]:
    for place, (text, width) in enumerate(pairs):
        yield text.ljust(width) if place == 0 else text.rjust(width)


def _text(value: object) -> str:
    return f"{value:,.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
