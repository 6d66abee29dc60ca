"""A dataset's way through the whole product: a place for it, a model, and what the model says."""

import asyncio
import json
from random import Random

import aiohttp

from shared.training.model import read_model
from tests.e2e.front.house import open_house


def dataset() -> bytes:
    dice = Random(1)
    lines = []
    for _ in range(400):
        label = dice.choice(["billing", "outage"])
        word = dice.choice({"billing": ["invoice", "refund"], "outage": ["down", "slow"]}[label])
        lines.append(json.dumps({"text": f"hello {word} please {dice.random():.1f}", "label": label}))
    return "\n".join(lines).encode()


def test_a_model_is_made_of_what_was_put_there_and_can_be_fetched_and_asked() -> None:
    async def story() -> None:
        async with open_house() as house, house.visitor() as ann, aiohttp.ClientSession() as anybody:
            body = dataset()
            _, place = await ann.ask("POST", "/uploads", {"name": "mail.jsonl", "size_bytes": len(body)})
            async with anybody.put(place["href"], data=body) as answer:
                assert answer.status == 200
            payload = {"type": "fine_tuning", "model_id": "new:text", "dataset_path": place["url"]}
            status, accepted = await ann.ask("POST", "/jobs", payload)
            assert status == 202, accepted
            job = await ann.until(accepted["job_id"], "SUCCESS", "FAILED")
            assert job["status"] == "SUCCESS", job
            _, result = await ann.ask("GET", f"/jobs/{accepted['job_id']}/result")
            assert result["data"]["result"]["data"]["metrics"]["accuracy"] == 1.0
            (href,) = {link["href"] for link in result["links"] if link["url"].endswith("/model.safetensors")}
            async with anybody.get(href) as answer:
                model = read_model(await answer.read())
            said = [one.label for one in model.predict(["a refund", "it is down"])]
            assert said == ["billing", "outage"]

    asyncio.run(story())
