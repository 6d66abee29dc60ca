"""Messages that nobody should send, but somebody will: a corpus, and what Hypothesis makes up."""

import json
from random import Random
from typing import Final

from hypothesis import strategies as st

VICTIM: Final = "victim"
VICTIMS: Final = ("job_later", "job_leased", "job_over", "job_of_another_type")
"""Jobs of the tenant `victim`: no message whatsoever may change them now."""

HUGE: Final = (2**31, 2**53 + 1, 2**63, 10**38, 10**400, -1, -(2**63), 0)
MIB: Final = 1 << 20

FIELDS: Final = (
    "type", "tenant_id", "tenantId", "job_id", "jobId", "user_id", "worker_id", "metadata",
    "operation", "parameters", "options", "longshore", "seq", "__proto__", "",
)  # fmt: skip


def _wakeup(**fields: object) -> str:
    return json.dumps({"longshore": 1, "tenant_id": VICTIM, "job_id": "job_later", "seq": 1, **fields})


def _bare(**fields: object) -> str:
    return json.dumps({"operation": "hostile", **fields})


def _any(*values: object) -> tuple[object, ...]:
    return values


def _filled(head: str, tail: str, size_bytes: int = MIB) -> str:
    return head + "x" * (size_bytes - len(head) - len(tail)) + tail


BROKEN: Final = (
    "", " ", "\0", "{", "}", "{}", "[]", "null", "0", '"', '""', "{'a': 1}", '{"a": }', '{"a": 1}{"b": 2}', "\ufeff{}",
    '{"operation": "x", "operation": "hostile"}', '{"operation": "\\ud800"}', '{"\\ud800": 1}',
    '{"operation": "\\u0000"}',
    '{"a": NaN}', '{"a": Infinity}', '{"a": 1e999}', '{"operation": "hostile", "parameters": {"a": -1e999}}',
    "[" * 100_000, '{"a":' * 100_000, "[" * 199 + "]" * 199, '{"parameters":' * 150 + "1" + "}" * 150,
    '{"a": ' + "9" * 5_000 + "}", _filled("", ""), _filled('{"operation": "', '"}'), _filled("[", "]"),
    "<xml/>", "operation=x", "\u202e{}", "\ud83d\ude00" * 10, "é" * 1_000, "{" + " " * 10_000, "\0" * 60_000,
)  # fmt: skip

FORGED: Final = (
    *(_wakeup(job_id=job_id, seq=seq) for job_id in VICTIMS for seq in _any(*HUGE, 1, 2)),
    *(_wakeup(seq=seq) for seq in _any("1", 1.0, True, None, [1], {"a": 1}, 1e400)),
    *(_wakeup(tenant_id=name) for name in _any("", "#", "a#b", "../x", "victim\0", "x" * 65, "\ud800", None, 7)),
    *(_wakeup(longshore=version) for version in _any(0, 2, "1", None, True, 10**30)),
    _wakeup(job_id="job_nobody_has"), _wakeup(extra=1), json.dumps({"longshore": 1}), json.dumps({"longshore": {}}),
)  # fmt: skip

ODD: Final = (
    *(_bare(tenant_id=VICTIM, job_id=job_id) for job_id in VICTIMS),
    *(_bare(tenantId=VICTIM, jobId=job_id, tenant_id="me") for job_id in VICTIMS),
    *(_bare(job_id=name) for name in _any("", "a#b", "a/b", "x" * 65, None, 7, [], {}, "\ud800", "é")),
    *(_bare(type=name) for name in _any("extract", "", None, 7, [], {"a": 1}, "generic\0", "GENERIC", "\ud800")),
    *(_bare(metadata=value) for value in _any("x", [], {"a": []}, {"a": "x" * 2_000}, {str(n): 1 for n in range(100)})),
    *(_bare(parameters=value) for value in _any(None, [], "x", {"a": 10**400}, {"\0": 1}, {"a": "x" * 900_000})),
    *(_bare(options=value) for value in _any(None, [], {"timeout": 0}, {"timeout": 10**30}, {"retries": -1},
        {"async": 1})),
    *(_bare(operation=value) for value in _any("", "\0", "a b", "x" * 100_000, None, 7, [], {}, "../../etc/passwd",
    "\ud800")),
    _bare(metadata={"a": "\ud800"}),
    _bare(parameters={"a": "\ud800"}), _bare(user_id="\ud800"), _bare(parameters={"n": 2**70}),
)  # fmt: skip

CORPUS: Final = (*BROKEN, *FORGED, *ODD)

_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.sampled_from(HUGE), st.floats(), st.text(max_size=20), st.just("\ud800")
)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_names = st.sampled_from((*VICTIMS, VICTIM, "generic", "extract", "hostile", "default", ""))
_objects = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), _names | _values, max_size=6)
_nearly_right = _objects.map(lambda fields: {"operation": "hostile", **fields})
_nearly_wakeups = _objects.map(
    lambda fields: {"longshore": 1, "tenant_id": VICTIM, "job_id": "job_later", "seq": 1, **fields}
)
_documents = (_objects | _nearly_right | _nearly_wakeups | _values).map(json.dumps)


def damaged(dice: Random, text: str) -> str:
    """Something cut out of it, something put in."""
    start = dice.randint(0, min(len(text), 200))
    stop = start + dice.choice((0, 0, 1, 2, 8, len(text)))
    return (
        text[:start]
        + dice.choice(("", "\0", '"', "\\", "{", "}", "[", ",", "9" * 30, "\u2028", "null", "#"))
        + text[stop:]
    )


@st.composite
def batches(draw: st.DrawFn, drawn: int, damages: int) -> list[str]:
    """So many made up, and so many damaged ones of these and of the corpus."""
    made_up = draw(st.lists(_documents | st.text(max_size=50), min_size=drawn, max_size=drawn))
    dice = Random(draw(st.integers(0, 2**32)))
    return made_up + [damaged(dice, dice.choice((*made_up, *CORPUS))) for _ in range(damages)]
