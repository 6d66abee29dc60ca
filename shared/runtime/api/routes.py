"""The whole API, one line each."""

from functools import cache
from typing import Final

from pydantic_core import to_json

from shared.runtime.api import jobs, many, page, system
from shared.runtime.api.app import Call, Route
from shared.runtime.api.messages import JSON_TYPE, Answer, Role
from shared.runtime.api.openapi import openapi
from shared.view import JobView

VERSION: Final = "1"


async def document(_call: Call) -> Answer:
    return Answer(200, _document(), {"Content-Type": JSON_TYPE})


@cache
def _document() -> bytes:
    return to_json(openapi(ROUTES, VERSION))


ROUTES: Final = (
    Route(
        method="POST",
        path="/jobs",
        summary="Submit a job: its payload, with its type",
        role=Role.PRODUCER,
        act=jobs.submit,
        query=jobs.SubmitQuery,
        headers=jobs.SubmitHeaders,
        body="AnyPayload",
        answers={202: jobs.Accepted, 200: jobs.Accepted},
        may=(409,),
    ),
    Route(
        method="GET",
        path="/jobs",
        summary="The jobs that match, newest first",
        role=Role.VIEWER,
        act=many.jobs_list,
        query=many.ListQuery,
        answers={200: many.JobList},
    ),
    Route(
        method="GET",
        path="/exports/jobs",
        summary="The jobs that match as a file: up to 1,000, then go on with the header Longshore-Cursor",
        role=Role.VIEWER,
        act=many.export,
        query=many.ExportQuery,
        answers={200: "text/csv"},
    ),
    Route(
        method="GET",
        path="/errors",
        summary="Failures in groups of the same kind, the most frequent first",
        role=Role.VIEWER,
        act=many.errors,
        query=many.ErrorsQuery,
        answers={200: many.ErrorGroups},
    ),
    Route(
        method="POST",
        path="/bulk/cancel",
        summary="Cancel all that match",
        role=Role.OPERATOR,
        act=many.bulk_cancel,
        body=many.Bulk,
        answers={200: many.BulkDone},
    ),
    Route(
        method="POST",
        path="/bulk/redrive",
        summary="Run all again that match and are over, at a pace",
        role=Role.OPERATOR,
        act=many.bulk_redrive,
        body=many.Bulk,
        answers={200: many.BulkDone},
    ),
    Route(
        method="POST",
        path="/uploads",
        summary="A place for a file that jobs are to read",
        role=Role.PRODUCER,
        act=system.upload,
        body=system.UploadAsk,
        answers={201: system.UploadPlace},
    ),
    Route(
        method="GET",
        path="/jobs/{job_id}",
        summary="A job as it is now",
        role=Role.VIEWER,
        act=jobs.get,
        answers={200: JobView},
        may=(404,),
    ),
    Route(
        method="GET",
        path="/jobs/{job_id}/payload",
        summary="What the job was asked to do",
        role=Role.VIEWER,
        act=jobs.payload,
        answers={200: jobs.PayloadView},
        may=(404,),
    ),
    Route(
        method="GET",
        path="/jobs/{job_id}/result",
        summary="The response of a job that is over, with links to its artefacts",
        role=Role.VIEWER,
        act=jobs.result,
        answers={200: jobs.Result},
        may=(404,),
    ),
    Route(
        method="GET",
        path="/jobs/{job_id}/events",
        summary="Every move of the job: when, by whom, why",
        role=Role.VIEWER,
        act=jobs.events,
        answers={200: jobs.Events},
        may=(404,),
    ),
    Route(
        method="GET",
        path="/jobs/{job_id}/errors",
        summary="What went wrong in each attempt, with stacks",
        role=Role.VIEWER,
        act=jobs.failures,
        answers={200: jobs.Failures},
        may=(404,),
    ),
    Route(
        method="GET",
        path="/jobs/{job_id}/why",
        summary="Why it is not running, or has failed",
        role=Role.VIEWER,
        act=jobs.reasons,
        answers={200: jobs.Why},
        may=(404,),
    ),
    Route(
        method="POST",
        path="/jobs/{job_id}/cancel",
        summary="Cancel: at once (200), or by asking its worker (202)",
        role=Role.OPERATOR,
        act=jobs.cancel,
        answers={200: JobView, 202: JobView},
        may=(404, 409),
    ),
    Route(
        method="POST",
        path="/jobs/{job_id}/redrive",
        summary="Run a job again that is over",
        role=Role.OPERATOR,
        act=jobs.redrive,
        answers={202: JobView},
        may=(404, 409),
    ),
    Route(
        method="POST",
        path="/tickets",
        summary="A one-time ticket to the WebSocket API, which tells of changes as they happen",
        role=Role.VIEWER,
        act=system.new_ticket,
        answers={201: system.Ticket},
    ),
    Route(
        method="GET",
        path="/types",
        summary="The job types and the JSON Schema of their payloads",
        role=Role.VIEWER,
        act=system.types,
        answers={200: system.Types},
    ),
    Route(
        method="GET",
        path="/health",
        summary="Does it live?",
        role=None,
        act=system.health,
        answers={200: system.Health},
    ),
    Route(
        method="GET",
        path="/",
        summary="The dashboard, for people",
        role=None,
        act=page.dashboard,
        answers={200: "text/html"},
    ),
    Route(
        method="GET",
        path="/assets/{version}/{name}",
        summary="What the dashboard is made of",
        role=None,
        act=page.asset,
        answers={200: "*/*"},
        may=(404,),
    ),
    Route(
        method="GET",
        path="/openapi.json",
        summary="This document",
        role=None,
        act=document,
        answers={200: JSON_TYPE},
    ),
)
