"""The whole API, one line each."""

from collections.abc import Mapping
from functools import cache
from typing import Final

from pydantic import JsonValue
from pydantic_core import to_json

from shared.runtime.api import estimates, flows, health, jobs, many, numbers, page, pauses, schedules, system, webhooks
from shared.runtime.api.app import Call, Route
from shared.runtime.api.messages import JSON_TYPE, Answer, Role
from shared.runtime.api.openapi import openapi
from shared.view import JobView

VERSION: Final = "1"

SUBMISSIONS: Final[Mapping[str, JsonValue]] = {
    "the least": {"type": "generic", "operation": "echo"},
    "an extract": {
        "type": "extract",
        "database": "secret://shop",
        "tables": ["orders", "customers"],
        "output_format": "csv",
        "metadata": {"item_id": "note-17"},
    },
    "a backup": {"type": "backup", "database": "secret://shop"},
}


async def document(_call: Call) -> Answer:
    return Answer(200, _document(), {"Content-Type": JSON_TYPE})


@cache
def _document() -> bytes:
    return to_json(openapi(ROUTES, VERSION))


ROUTES: Final = (
    Route(
        method="POST",
        path="/jobs",
        name="submit_job",
        summary="Submit a job: its payload, with its type",
        role=Role.PRODUCER,
        act=jobs.submit,
        query=jobs.DelayQuery,
        headers=jobs.SubmitHeaders,
        body="AnyPayload",
        examples=SUBMISSIONS,
        answers={202: jobs.Accepted, 200: jobs.Accepted},
        may=(409,),
    ),
    Route(
        method="GET",
        path="/jobs",
        name="list_jobs",
        summary="The jobs that match, newest first",
        role=Role.VIEWER,
        act=many.jobs_list,
        query=many.ListQuery,
        answers={200: many.JobList},
    ),
    Route(
        method="GET",
        path="/exports/jobs",
        name="export_jobs",
        summary="The jobs that match as a file: up to 500, then go on with the header Longshore-Cursor",
        role=Role.VIEWER,
        act=many.export,
        query=many.ExportQuery,
        answers={200: "text/csv, application/jsonl"},
    ),
    Route(
        method="GET",
        path="/errors",
        name="group_errors",
        summary="Failures in groups of the same kind, the most frequent first",
        role=Role.VIEWER,
        act=many.errors,
        query=many.ErrorsQuery,
        answers={200: many.ErrorGroups},
    ),
    Route(
        method="POST",
        path="/bulk/cancel",
        name="cancel_jobs",
        summary="Cancel all that match",
        role=Role.OPERATOR,
        act=many.bulk_cancel,
        body=many.Bulk,
        answers={200: many.BulkDone},
    ),
    Route(
        method="POST",
        path="/bulk/redrive",
        name="redrive_jobs",
        summary="Run all again that match and are over, at a pace; or one, ten, all, until the failure is back",
        role=Role.OPERATOR,
        act=many.bulk_redrive,
        body=many.BulkRedrive,
        answers={200: many.BulkDone, 202: jobs.Accepted},
    ),
    Route(
        method="POST",
        path="/uploads",
        name="create_upload",
        summary="A place for a file that jobs are to read",
        role=Role.PRODUCER,
        act=system.upload,
        body=system.UploadAsk,
        answers={201: system.UploadPlace},
    ),
    Route(
        method="GET",
        path="/jobs/{job_id}",
        name="get_job",
        summary="A job as it is now",
        role=Role.VIEWER,
        act=jobs.get,
        answers={200: JobView},
        may=(404,),
    ),
    Route(
        method="GET",
        path="/jobs/{job_id}/payload",
        name="get_job_payload",
        summary="What the job was asked to do",
        role=Role.VIEWER,
        act=jobs.payload,
        answers={200: jobs.PayloadView},
        may=(404,),
    ),
    Route(
        method="GET",
        path="/jobs/{job_id}/result",
        name="get_job_result",
        summary="The response of a job that is over, with links to its artefacts",
        role=Role.VIEWER,
        act=jobs.result,
        answers={200: jobs.Result},
        may=(404,),
    ),
    Route(
        method="GET",
        path="/jobs/{job_id}/events",
        name="get_job_events",
        summary="Every move of the job: when, by whom, why",
        role=Role.VIEWER,
        act=jobs.events,
        answers={200: jobs.Events},
        may=(404,),
    ),
    Route(
        method="GET",
        path="/jobs/{job_id}/errors",
        name="get_job_errors",
        summary="What went wrong in each attempt, with stacks",
        role=Role.VIEWER,
        act=jobs.failures,
        answers={200: jobs.Failures},
        may=(404,),
    ),
    Route(
        method="GET",
        path="/jobs/{job_id}/why",
        name="explain_job",
        summary="Why it is not running, or has failed",
        role=Role.VIEWER,
        act=jobs.reasons,
        answers={200: jobs.Why},
        may=(404,),
    ),
    Route(
        method="POST",
        path="/jobs/{job_id}/cancel",
        name="cancel_job",
        summary="Cancel: at once (200), or by asking its worker (202)",
        role=Role.OPERATOR,
        act=jobs.cancel,
        answers={200: JobView, 202: JobView},
        may=(404, 409),
    ),
    Route(
        method="POST",
        path="/jobs/{job_id}/redrive",
        name="redrive_job",
        summary="Run a job again that is over",
        role=Role.OPERATOR,
        act=jobs.redrive,
        query=jobs.DelayQuery,
        answers={202: JobView},
        may=(404, 409),
    ),
    Route(
        method="POST",
        path="/tickets",
        name="create_ticket",
        summary="A one-time ticket to the WebSocket API, which tells of changes as they happen",
        role=Role.VIEWER,
        act=system.new_ticket,
        answers={201: system.Ticket},
    ),
    *flows.ROUTES,
    *estimates.ROUTES,
    *schedules.ROUTES,
    *webhooks.ROUTES,
    *numbers.ROUTES,
    *pauses.ROUTES,
    health.ROUTE,
    Route(
        method="GET",
        path="/types",
        name="list_types",
        summary="The job types and the JSON Schema of their payloads",
        role=Role.VIEWER,
        act=system.types,
        answers={200: system.Types},
    ),
    Route(
        method="GET",
        path="/health",
        name="get_health",
        summary="Does it live?",
        role=None,
        act=system.health,
        answers={200: system.Health},
    ),
    Route(
        method="GET",
        path="/",
        name="get_dashboard",
        summary="The dashboard, for people",
        role=None,
        act=page.dashboard,
        answers={200: "text/html"},
    ),
    Route(
        method="GET",
        path="/assets/{version}/{name}",
        name="get_asset",
        summary="What the dashboard is made of",
        role=None,
        act=page.asset,
        answers={200: "*/*"},
        may=(404,),
    ),
    Route(
        method="GET",
        path="/openapi.json",
        name="get_openapi",
        summary="This document",
        role=None,
        act=document,
        answers={200: JSON_TYPE},
    ),
)
