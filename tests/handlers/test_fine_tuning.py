"""`fine_tuning`: classifiers that are trained here, stopped anywhere, and gone on with to the same bits."""

import asyncio
import csv
import gzip
import hashlib
import io
import json
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, cast

import numpy as np
import pytest
from arro3.core import Array, DataType, Table, list_array
from arro3.io import write_parquet
from pydantic import JsonValue

from infra.testing import Longshore, Producer
from shared.errors import InvalidInput, Permanent, Transient
from shared.memory.objects import MemoryObjects
from shared.parquet import read
from shared.payloads import read_payload
from shared.payloads.fine_tuning import FineTuningPayload
from shared.payloads.results import ProcessResult
from shared.runtime.run import Stop
from shared.status import Status
from shared.training import dataset, training
from shared.training.features import TabularFeatures, TextFeatures
from shared.training.model import Model, Spec, read_model, read_tensors, tensor_bytes
from shared.training.watch import Watch
from tests.databases import Jobs
from tests.long_jobs import LongJobs

MINE = "artifacts/default/uploads/1/"
URL = f"s3://memory/{MINE}"

WORDS = {
    "billing": "invoice refund charge card payment price receipt",
    "outage": "down error timeout slow crash unreachable broken",
    "praise": "thanks great love fast helpful wonderful nice",
}
UTF8 = DataType.utf8()
COMMON = "the a my your it is was very today please team we"


def texts(count: int, seed: int = 1) -> list[dict[str, str]]:
    dice = Random(seed)
    rows = []
    for _ in range(count):
        label = dice.choice(list(WORDS))
        words = dice.choices(COMMON.split(), k=6) + dice.choices(WORDS[label].split(), k=2)
        dice.shuffle(words)
        rows.append({"text": " ".join(words), "label": label})
    return rows


def flowers(count: int) -> list[dict[str, object]]:
    """Two clouds that overlap a little, with a colour that helps and gaps."""
    dice = Random(2)
    rows: list[dict[str, object]] = []
    for _ in range(count):
        label = dice.randrange(2)
        colour = dice.choices(["red", "blue"], [1 + 3 * label, 4 - 3 * label])[0]
        length = None if dice.random() < 0.1 else round(dice.gauss(50 + 10 * label, 6), 2)
        rows.append({"length": length, "colour": colour, "is_big": "yes" if label else "no"})
    return rows


def as_jsonl(rows: list[dict[str, object]] | list[dict[str, str]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def as_csv(rows: list[dict[str, object]] | list[dict[str, str]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def as_parquet(rows: Sequence[Mapping[str, object]], kind: DataType = UTF8) -> bytes:
    columns = [Array([row[name] for row in rows], kind) for name in rows[0]]
    out = io.BytesIO()
    write_parquet(Table.from_arrays(columns, names=list(rows[0])), out)
    return out.getvalue()


def parquet_of_lists() -> bytes:
    lists = list_array(Array([0, 1, 2], DataType.int32()), Array(["a", "b"], UTF8))
    out = io.BytesIO()
    write_parquet(Table.from_arrays([lists, Array(["x", "y"], UTF8)], names=["text", "label"]), out)
    return out.getvalue()


def small_model(labels: tuple[str, ...] = ("a", "b"), places: int = 8) -> bytes:
    spec = Spec(features=TextFeatures(column="text"), labels=[*labels], places=places)
    return b"".join(tensor_bytes(spec.model_dump_json(), {"weights": np.ones((places, len(labels)), np.float32)}))


@pytest.fixture(autouse=True)
def small_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a few hundred kilobytes."""
    monkeypatch.setattr("shared.training.model.PLACES_MAX", 1 << 12)


@pytest.fixture
def jobs() -> Jobs:
    jobs = Jobs()
    jobs.bodies[f"{MINE}mail.jsonl"] = as_jsonl(texts(600))
    return jobs


def tune(
    jobs: Jobs, name: str = "mail.jsonl", model_id: str = "new:text", **fields: Any
) -> ProcessResult:  # Any: fields
    whole: dict[str, Any] = {"model_id": model_id, "dataset_path": URL + name} | fields  # Any: as `start` has it
    outcome = asyncio.run(jobs.start("fine_tuning", **whole))
    assert isinstance(outcome, ProcessResult), outcome
    return outcome


def model_of(jobs: Jobs, result: ProcessResult) -> Model:
    return read_model(body_of(jobs, result))


def body_of(jobs: Jobs, result: ProcessResult) -> bytes:
    assert result.artifact is not None
    return jobs.body(result.artifact.url)


def part(result: ProcessResult, *path: str) -> JsonValue:
    found: JsonValue = result.data
    for name in path:
        assert isinstance(found, dict)
        found = found[name]
    return found


# --- what comes out ---------------------------------------------------------------------------------------------------


def test_a_classifier_of_texts_knows_texts_that_it_has_never_seen(jobs: Jobs) -> None:
    result = tune(jobs)
    accuracy = part(result, "metrics", "accuracy")
    assert isinstance(accuracy, float)
    assert accuracy > 0.95
    said = list(model_of(jobs, result).predict(["please send my invoice", {"text": "it is down, we see a timeout"}]))
    assert [one.label for one in said] == ["billing", "outage"]
    assert all(0.5 < one.probability <= 1 for one in said)
    assert '"current":5,"total":5' in (jobs.runs[-1].progress or "")
    assert '"accuracy"' in (jobs.runs[-1].progress or "")


def test_a_classifier_of_rows_takes_numbers_words_and_gaps(jobs: Jobs) -> None:
    jobs.bodies[f"{MINE}flowers.csv"] = as_csv(flowers(1000))
    result = tune(jobs, "flowers.csv", "new:tabular", label_column="is_big", training_config={"validation_split": 0.3})
    accuracy = part(result, "metrics", "accuracy")
    assert isinstance(accuracy, float)
    assert accuracy > 0.8
    assert part(result, "columns") == ["colour", "length"]
    model = model_of(jobs, result)
    said = list(model.predict([{"length": 70, "colour": "red"}, {"length": "39.5", "colour": "blue"}]))
    assert [one.label for one in said] == ["yes", "no"]
    with pytest.raises(Permanent, match="rows, not texts"):
        list(model.predict(["red"]))


@pytest.mark.parametrize("gap", ["nan", "NaN", "inf", "-Infinity", "1e300", "1e999"])
def test_a_gap_that_is_written_as_no_number_leaves_a_column_of_numbers(jobs: Jobs, gap: str) -> None:
    rows = flowers(300)
    said = [row | {"length": gap if row["length"] is None else row["length"]} for row in rows]
    jobs.bodies[f"{MINE}empty.csv"], jobs.bodies[f"{MINE}said.csv"] = as_csv(rows), as_csv(said)
    models = [tune(jobs, name, "new:tabular", label_column="is_big") for name in ("empty.csv", "said.csv")]
    features = model_of(jobs, models[1]).spec.features
    assert isinstance(features, TabularFeatures)
    assert [column.name for column in features.numeric] == ["length"]
    twin = model_of(jobs, models[0]).spec.features
    assert isinstance(twin, TabularFeatures)
    assert features.numeric[0].mean == pytest.approx(twin.numeric[0].mean, abs=1)


def test_the_same_rows_in_any_format_make_the_same_model(jobs: Jobs) -> None:
    rows = texts(300)
    binary = as_parquet([{name: value.encode() for name, value in row.items()} for row in rows], DataType.binary())
    bodies = {"jsonl": as_jsonl(rows), "CSV": as_csv(rows), "bin": as_parquet(rows), "parquet": binary}
    jobs.bodies.update({f"{MINE}a.{name}": body for name, body in bodies.items()})
    models = [tune(jobs, f"a.{name}") for name in ("jsonl", "CSV", "parquet")]
    models.append(tune(jobs, "a.bin", dataset_format="parquet"))
    assert len({body_of(jobs, result) for result in models}) == 1


def test_another_seed_makes_another_model(jobs: Jobs) -> None:
    assert body_of(jobs, tune(jobs)) != body_of(jobs, tune(jobs, training_config={"seed": 1}))


def test_a_base_model_is_gone_on_from_and_learns_new_labels(jobs: Jobs) -> None:
    first = tune(jobs, training_config={"epochs": 2})
    jobs.bodies[f"{MINE}more.jsonl"] = as_jsonl(
        [{"text": f"parcel ship {n}", "label": "delivery"} for n in range(90)] + texts(90)
    )
    assert first.artifact is not None
    again = tune(jobs, "more.jsonl", first.artifact.url, training_config={"epochs": 1})
    assert part(again, "labels") == ["billing", "outage", "praise", "delivery"]
    said = model_of(jobs, again).predict(["where is my parcel", "an invoice and a refund"])
    assert [one.label for one in said] == ["delivery", "billing"]


def test_the_card_tells_where_a_model_comes_from_and_how_good_it_is(jobs: Jobs) -> None:
    result = tune(jobs, options={"metrics": ["accuracy"]})
    (name,) = (key for key in jobs.bodies if key.endswith("model_card.json"))
    card = json.loads(jobs.bodies[name])
    artifact = result.artifact
    assert artifact is not None
    assert {**card, "files": result.data["files"]} == result.data
    assert card["metrics"].keys() == {"accuracy"}
    assert card["dataset"]["rows"] == 600 == result.records_processed
    assert card["dataset"]["sha256"] == hashlib.sha256(jobs.bodies[f"{MINE}mail.jsonl"]).hexdigest()
    prose = jobs.bodies[name.replace(".json", ".md")].decode()
    assert "read_model" in prose
    assert str(card["metrics"]["accuracy"]) in prose


def test_each_epochs_model_is_kept_where_asked_for(jobs: Jobs) -> None:
    result = tune(jobs, options={"save_checkpoints": True}, training_config={"epochs": 3})
    kept = sorted(key for key in jobs.bodies if "/checkpoints/" in key)
    assert [key.rpartition("/")[2] for key in kept] == [f"epoch-000{n}.safetensors" for n in (1, 2, 3)]
    assert jobs.bodies[kept[2]] == body_of(jobs, result)
    assert jobs.bodies[kept[0]] != body_of(jobs, result)
    files = result.data["files"]
    assert isinstance(files, list)
    assert len(files) == 6


def test_a_loss_that_grows_ends_it_and_the_best_epoch_is_taken(jobs: Jobs) -> None:
    dice = Random(3)
    noise = [{"text": " ".join(dice.choices(COMMON.split(), k=8)), "label": dice.choice("ab")} for _ in range(300)]
    jobs.bodies[f"{MINE}noise.jsonl"] = as_jsonl(noise)
    options = {"early_stop": 2, "save_checkpoints": True}
    result = tune(jobs, "noise.jsonl", options=options, training_config={"epochs": 50, "validation_split": 0.4})
    history = part(result, "history")
    assert isinstance(history, list)
    best = result.data["epoch"]
    assert result.data["stopped_early"] is True
    assert isinstance(best, int)
    assert len(history) == best + 2 < 50
    losses = [epoch["loss"] for epoch in history if isinstance(epoch, dict)]
    assert best == 1 + min(range(len(losses)), key=lambda place: float(str(losses[place])))
    (kept,) = (key for key in jobs.bodies if key.endswith(f"epoch-{best:04}.safetensors"))
    assert jobs.bodies[kept] == body_of(jobs, result)


def test_the_same_text_is_never_learned_from_and_judged_by() -> None:
    settings = training.Settings(1, 1.0, 1, 0.5, 0, "label", None)
    rows = [{"text": str(n % 40), "label": str(n)} for n in range(200)]
    file = dataset.Dataset(io.BytesIO(as_jsonl(rows)), "jsonl", "")
    sides: dict[str, set[bool]] = {}
    for row, _, held_out in training.sided(file, settings, lambda: None):
        sides.setdefault(str(row["text"]), set()).add(held_out)
    assert {len(side) for side in sides.values()} == {1}
    assert set.union(*sides.values()) == {True, False}


# --- killed, stopped, and gone on with --------------------------------------------------------------------------------

SMALL = {"epochs": 3, "batch_size": 16, "validation_split": 0.2}


def long_tuned(long: LongJobs, model_id: str = "new:text", **how: bool) -> ProcessResult:
    rows = as_jsonl(texts(200)) if model_id == "new:text" else as_jsonl(flowers(200)).replace(b"is_big", b"label")
    long.jobs.bodies[f"{MINE}mail.jsonl"] = rows
    options = {"early_stop": True, "save_checkpoints": True}
    result = long.run(
        "fine_tuning",
        **how,
        model_id=model_id,
        dataset_path=f"{URL}mail.jsonl",
        training_config=SMALL,
        options=options,
    )
    assert isinstance(result, ProcessResult)
    return result


@pytest.mark.parametrize("model_id", ["new:text", "new:tabular"])
@pytest.mark.parametrize("invocation_s", [4, 7, 12])
def test_an_interrupted_training_makes_the_bits_of_one_that_was_not(invocation_s: int, model_id: str) -> None:
    whole, pieces = LongJobs(), LongJobs(invocation_s=invocation_s)
    first = long_tuned(whole, model_id)
    again = long_tuned(pieces, model_id, answers_lost=True)
    assert pieces.invocations > 2
    assert body_of(pieces.jobs, again) == body_of(whole.jobs, first)
    assert again.data["history"] == first.data["history"]


def test_killed_at_any_moment_it_makes_the_same_bits() -> None:
    whole = LongJobs(invocation_s=12)
    model = body_of(whole.jobs, long_tuned(whole))
    looks = whole.clock.looks
    deaths = 0
    for moment in range(1, looks, 3):
        long = LongJobs(invocation_s=12)
        long.clock.kills_at = moment
        assert body_of(long.jobs, long_tuned(long)) == model
        deaths += long.deaths
    assert deaths > 10


def test_whatever_happens_at_any_call_the_model_has_the_same_bits(longshore: Longshore) -> None:
    path = "artifacts/default/uploads/1/mail.jsonl"
    payload = {"model_id": "new:text", "dataset_path": f"s3://memory/{path}", "training_config": {"epochs": 1}}
    bits: set[bytes] = set()

    async def story(producer: Producer) -> None:
        await producer.ports.objects.put(path, as_jsonl(texts(60)))
        job = await producer.submit(FineTuningPayload.model_validate(payload))
        await producer.until(job, Status.SUCCESS)

    def check(kit: Longshore) -> None:
        bodies = cast("MemoryObjects", kit.ports.objects).bodies
        bits.update(body for key, body in bodies.items() if key.endswith("/model.safetensors"))

    longshore.crash_points(story, check)
    assert len(bits) == 1


def test_a_dataset_that_changes_meanwhile_is_not_gone_on_with() -> None:
    long = LongJobs(invocation_s=12)

    def change(_: int) -> None:
        long.jobs.bodies[f"{MINE}mail.jsonl"] = as_jsonl(texts(200, seed=9))

    long.between = change
    with pytest.raises(Permanent, match="dataset_changed"):
        long_tuned(long)


def test_a_run_that_is_told_to_stop_stops_between_two_batches(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    goes_on = Watch.goes_on

    def stop_soon(watch: Watch) -> bool:
        looks.append(1)
        if len(looks) == 5:
            jobs.runs[-1].halt(Stop.CANCELLED)
        return goes_on(watch)

    monkeypatch.setattr(Watch, "goes_on", stop_soon)
    with pytest.raises(Transient, match="stopped"):
        tune(jobs)
    assert len(looks) == 5
    assert set(jobs.bodies) == {f"{MINE}mail.jsonl"}


def test_a_dataset_that_takes_an_invocation_to_read_is_told(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "LOOK_EVERY_ROWS", 10)
    long = LongJobs(invocation_s=12)
    with pytest.raises(Permanent, match="too_long"):
        long_tuned(long)


# --- hostile datasets -------------------------------------------------------------------------------------------------

HOSTILE: dict[str, tuple[str, bytes, str]] = {
    "nothing": ("jsonl", b"", "empty_dataset"),
    "a header alone": ("csv", b"text,label\n", "empty_dataset"),
    "one label": ("csv", b"text,label\na,b\nc,b\n", "one_class"),
    "no such column": ("csv", b"words,label\na,b\nc,d\n", "wrong_columns"),
    "no such label": ("csv", b"text,kind\na,b\nc,d\n", "wrong_columns"),
    "no label": ("jsonl", b'{"text":"a","label":"b"}\n{"text":"a"}\n', "no_label"),
    "a label that is no number": ("jsonl", b'{"text":"a","label":NaN}\n', "no_label"),
    "an empty label": ("csv", b"text,label\na,\n", "no_label"),
    "a long label": (
        "jsonl",
        as_jsonl([{"text": "a", "label": "x" * 201}, {"text": "b", "label": "y"}]),
        "bad_dataset",
    ),
    "half a character": ("jsonl", b'{"text":"a","label":"\\ud800"}\n', "bad_dataset"),
    "no JSON": ("jsonl", b"text,label\n", "bad_dataset"),
    "a deep one": ("jsonl", b"[" * 100_000 + b"\n", "bad_dataset"),
    "a number of many digits": ("jsonl", b'{"text":' + b"1" * 5000 + b',"label":"x"}\n', "bad_dataset"),
    "lists in rows": ("jsonl", b'{"text":["a"],"label":"b"}\n', "bad_dataset"),
    "ragged": ("csv", b"text,label\na,b,c\n", "bad_dataset"),
    "an open quote": ("csv", b'text,label\n"a,b\n', "bad_dataset"),
    "a field without end": ("csv", b'text,label\n"' + b"words\n" * 200_000 + b'",b\n', "too_large"),
    "twins": ("csv", b"label,label\na,b\n", "bad_dataset"),
    "Latin-1": ("csv", "text,label\nGrüße,b\n".encode("latin-1"), "bad_dataset"),
    "packed": ("csv", gzip.compress(b"text,label\na,b\n" * 1000), "bad_dataset"),
    "an endless line": ("jsonl", b"x" * ((1 << 20) + 1), "too_large"),
    "a thousand columns": ("csv", ",".join(map(str, range(1001))).encode() + b"\n" + b"," * 1000 + b"\n", "too_large"),
    "columns without end": ("jsonl", as_jsonl([{f"c{n}": "1", "label": str(n % 2)} for n in range(1300)]), "too_large"),
    "a thousand labels": ("jsonl", as_jsonl([{"text": "a", "label": str(n)} for n in range(1001)]), "too_many_classes"),
    "no Parquet": ("parquet", b"PAR1" + bytes(100), "bad_dataset"),
    "lists in Parquet": ("parquet", parquet_of_lists(), "bad_dataset"),
    "half a Parquet": ("parquet", as_parquet(texts(50))[:-30], "bad_dataset"),
    "too few for a split": ("csv", b"text,label\na,b\na,c\n", "too_few_rows"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_dataset_that_is_none_is_told_and_leaves_nothing(jobs: Jobs, kind: str) -> None:
    form, body, code = HOSTILE[kind]
    path = f"{MINE}bad.{form}"
    jobs.bodies[path] = body
    model_id = "new:tabular" if "columns" in kind else "new:text"
    error = jobs.fail("fine_tuning", model_id=model_id, dataset_path=f"s3://memory/{path}")
    assert (error.code, error.field, type(error)) == (code, "dataset_path", Permanent)
    assert set(jobs.bodies) == {f"{MINE}mail.jsonl", path}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("shared.training.files.DATASET_BYTES_MAX", 1000),
        ("shared.training.dataset.ROWS_MAX", 100),
        ("shared.training.training.FEATURES_MAX", 1000),
    ],
)
def test_more_than_a_worker_has_room_for_is_refused(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, place: str, value: int
) -> None:
    jobs.bodies[f"{MINE}mail.parquet"] = as_parquet(texts(600))
    monkeypatch.setattr(place, value)
    error = jobs.fail("fine_tuning", model_id="new:text", dataset_path=f"{URL}mail.parquet")
    assert (error.code, error.field) == ("too_large", "dataset_path")


def parquet_bomb(mebibytes: int) -> bytes:
    """Some kilobytes."""
    out = io.BytesIO()
    table = Table.from_arrays([Array(["x" * (mebibytes << 20)], UTF8), Array(["b"], UTF8)], names=["text", "label"])
    write_parquet(table, out, compression="zstd(1)")
    return out.getvalue()


@pytest.mark.parametrize(("memory_mib", "bomb_mib"), [(96, 100), (1024, 150)])
def test_a_bomb_of_parquet_goes_off_where_it_ends_nobody(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, memory_mib: int, bomb_mib: int
) -> None:
    """Whether memory is over while it is unpacked, or it is seen that it would be."""
    monkeypatch.setattr(read, "MEMORY_BYTES_MAX", memory_mib << 20)
    jobs.bodies[f"{MINE}bomb.parquet"] = parquet_bomb(bomb_mib)
    error = jobs.fail("fine_tuning", model_id="new:text", dataset_path=f"{URL}bomb.parquet")
    assert (error.code, error.field) == ("too_large", "dataset_path")
    assert "memory to unpack" in error.message


def test_a_row_of_parquet_is_as_long_as_any(jobs: Jobs) -> None:
    jobs.bodies[f"{MINE}long.parquet"] = parquet_bomb(2)
    error = jobs.fail("fine_tuning", model_id="new:text", dataset_path=f"{URL}long.parquet")
    assert (error.code, error.message) == ("too_large", "row 1 has more than 1,048,576 characters")


def test_who_wants_no_more_rows_leaves_no_process_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(as_parquet(texts(20_000)))
    with path.open("rb") as file:
        rows = dataset.Dataset(file, "parquet", "").rows()
        assert next(rows)["label"]
        rows.close()  # type: ignore[attr-defined]  # a generator
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize("url", ["s3://memory/artifacts/other/x.csv", f"{URL}gone.csv", "s3://elsewhere/x.csv"])
def test_another_tenants_file_is_as_little_there_as_none(jobs: Jobs, url: str) -> None:
    jobs.bodies["artifacts/other/x.csv"] = b"text,label\na,b\nc,d\n"
    error = jobs.fail("fine_tuning", model_id="new:text", dataset_path=url)
    assert (error.code, error.field) == ("no_such_artifact", "dataset_path")
    error = jobs.fail("fine_tuning", model_id=url, dataset_path=f"{URL}mail.jsonl")
    assert (error.code, error.field) == ("no_such_artifact", "model_id")


# --- hostile models ---------------------------------------------------------------------------------------------------


def header(**changes: object) -> Callable[[bytes], bytes]:
    """The small model with another tensor than it has."""

    def spoil(model: bytes) -> bytes:
        size = int.from_bytes(model[:8], "little")
        said = json.loads(model[8 : 8 + size])
        said["weights"] |= changes
        again = json.dumps(said).encode()
        return struct.pack("<Q", len(again)) + again + model[8 + size :]

    return spoil


def wide_header(model: bytes) -> bytes:
    """With nothing but spaces too many."""
    size = int.from_bytes(model[:8], "little")
    return struct.pack("<Q", size + (5 << 20)) + model[8 : 8 + size] + b" " * (5 << 20) + model[8 + size :]


def spec(**changes: object) -> Callable[[bytes], bytes]:
    def spoil(model: bytes) -> bytes:
        text, tensors = read_tensors(model)
        return b"".join(tensor_bytes(json.dumps(json.loads(text) | changes), tensors))

    return spoil


BAD_MODELS: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "a pickle": lambda _: b"\x80\x04\x95" + bytes(100),
    "half": lambda model: model[:-8],
    "a header of 2^63 bytes": lambda model: b"\xff" * 8 + model[8:],
    "no header": lambda model: bytes(8) + model[8:],
    "a header of 5 MB": wide_header,
    "a deep header": lambda _: struct.pack("<Q", 100_000) + b"[" * 100_000,
    "not a number": lambda model: model[:-4] + struct.pack("<f", float("nan")),
    "infinite": lambda model: model[:-4] + struct.pack("<f", float("inf")),
    "a huge shape": header(shape=[1 << 40, 1 << 40], data_offsets=[0, 4 << 80]),
    "a negative shape": header(shape=[-8, -2]),
    "of one dimension": header(shape=[16]),
    "doubles": header(dtype="F64"),
    "before the beginning": header(data_offsets=[-64, 0]),
    "beyond the end": header(data_offsets=[64, 128]),
    "booleans for numbers": header(shape=[True, 16]),
    "of another shape": header(shape=[2, 8]),
    "another version": spec(version=2),
    "another field": spec(more=1),
    "no labels": spec(labels=[]),
    "twin labels": spec(labels=["a", "a"]),
    "places without end": spec(places=1 << 30),
    "no such features": spec(features={"kind": "image"}),
    "no deviation": spec(
        features={"kind": "tabular", "numeric": [{"name": "n", "mean": 0.0, "deviation": 0.0}], "categorical": []}
    ),
    "more columns than places": spec(
        features={
            "kind": "tabular",
            "numeric": [{"name": str(n), "mean": 0.0, "deviation": 1.0} for n in range(4)],
            "categorical": [],
        }
    ),
}


@pytest.mark.parametrize("kind", BAD_MODELS)
def test_a_base_model_that_is_none_is_told(jobs: Jobs, kind: str) -> None:
    jobs.bodies[f"{MINE}base.safetensors"] = BAD_MODELS[kind](small_model())
    error = jobs.fail("fine_tuning", model_id=f"{URL}base.safetensors", dataset_path=f"{URL}mail.jsonl")
    assert (error.code, error.field, type(error)) == ("not_a_model", "model_id", Permanent)


def test_a_model_that_is_one_is_taken(jobs: Jobs) -> None:
    jobs.bodies[f"{MINE}base.safetensors"] = small_model()
    result = tune(jobs, model_id=f"{URL}base.safetensors")
    assert part(result, "labels") == ["a", "b", "billing", "outage", "praise"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [({}, "there is no column 'text'"), ({"label_column": "text"}, "the column 'text' is learned from")],
)
def test_a_base_model_of_other_columns_is_told(jobs: Jobs, fields: dict[str, str], said: str) -> None:
    """A label that the features hold would be learned by heart."""
    jobs.bodies[f"{MINE}base.safetensors"] = small_model()
    name = "label" if "label_column" not in fields else "text"
    jobs.bodies[f"{MINE}other.jsonl"] = as_jsonl([{"words": "x", name: label} for label in "abab"])
    base = {"model_id": f"{URL}base.safetensors", "dataset_path": f"{URL}other.jsonl"}
    error = jobs.fail("fine_tuning", **base, **fields)
    assert (error.code, error.field) == ("wrong_columns", "dataset_path")
    assert said in error.message


def test_a_model_of_more_bytes_than_any_has_is_not_read_to_its_end(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.training.files.FILE_BYTES_MAX", 100)
    jobs.bodies[f"{MINE}base.safetensors"] = small_model()
    error = jobs.fail("fine_tuning", model_id=f"{URL}base.safetensors", dataset_path=f"{URL}mail.jsonl")
    assert (error.code, error.field) == ("not_a_model", "model_id")


# --- payloads ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"model_id": "bert-base"}, "new:text, new:tabular or s3://"),
        ({"model_id": "new:text", "engine": "sagemaker"}, "the address of a training image"),
        ({"model_id": "new:text", "engine": "bedrock"}, "a Bedrock model's id"),
        ({"dataset_path": "http://169.254.169.254/latest/a.csv"}, "dataset_path"),
        ({"dataset_path": "/etc/passwd"}, "dataset_path"),
        ({"label_column": "text"}, "label_column"),
        ({"model_id": "a.b", "engine": "bedrock", "remote": {"volume_gb": 9}}, "are for the engine sagemaker"),
        ({"remote": {}}, "sagemaker and bedrock"),
        ({"training_config": {"epochs": 0}}, "greater than or equal to 1"),
        ({"training_config": {"learning_rate": 0}}, "greater than 0"),
        ({"training_config": {"learning_rate": 1e999}}, "less than or equal to 10"),
        ({"training_config": {"validation_split": 0.9}}, "less than or equal to 0.5"),
        ({"training_config": {"validation_split": 0}, "options": {"early_stop": True}}, "validation_split above 0"),
        ({"dataset_path": "/etc/passwd"}, "an s3:// URL"),
        ({"options": {"metrics": ["auc"]}}, "'loss', 'accuracy' or 'f1'"),
    ],
)
def test_what_does_not_fit_is_refused_at_the_door(fields: dict[str, object], expected: str) -> None:
    whole = {"type": "fine_tuning", "model_id": "new:text", "dataset_path": f"{URL}a.csv"} | fields
    with pytest.raises(InvalidInput, match=expected):
        read_payload(json.dumps(whole))


def test_a_name_without_a_known_ending_needs_its_format(jobs: Jobs) -> None:
    jobs.bodies[f"{MINE}data"] = as_jsonl(texts(10))
    error = jobs.fail("fine_tuning", model_id="new:text", dataset_path=f"{URL}data")
    assert (error.code, error.field) == ("unknown_format", "dataset_format")
    assert dataset.form_of("a.NDJSON") == "jsonl"
