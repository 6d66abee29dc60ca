"""A soak in a few lines of figures."""

from collections import Counter
from statistics import median

from tests.soak.judge import Books, recoveries_ms
from tests.soak.storm import Plan


def report(plan: Plan, books: Books) -> str:
    began_at, calm_at = (int(str(books.of(what)[0]["at"])) for what in ("storm", "calm"))
    held = sum(1 for row in books.rows.values() if row.completed_at and began_at <= row.completed_at < calm_at)
    kills = Counter(str(line["target"]) for line in books.of("killed"))
    statuses = Counter(row.status.value for row in books.rows.values())
    over_s = (max(row.updated_at for row in books.rows.values()) - calm_at) / 1000
    killed = sum(run.end is None for run in books.runs.values())
    garbage = len(books.of("garbage"))
    storm_s = (calm_at - began_at) / 1000
    lines = [
        f"seed {plan.seed}: {len(books.rows)} jobs, {len(books.runs)} runs, {dict(sorted(statuses.items()))}",
        f"{held / storm_s:.1f} jobs/s held for {storm_s:.0f} s; all over {over_s:.0f} s after the last was sent",
        f"{sum(kills.values())} kills: {dict(sorted(kills.items()))}; {killed} runs were killed",
        f"{len(books.of('purged'))} purges, {books.dead_letters} dead letters sent back, {garbage} pieces of garbage",
    ]
    for target, found_ms in sorted(recoveries_ms(books).items()):
        low, middle, high = (each(found_ms) / 1000 for each in (min, median, max))
        lines.append(f"recovery, killed {target}: {low:.1f} / {middle:.1f} / {high:.1f} s (of {len(found_ms)} runs)")
    return "\n".join(lines)
