"""`redrive`: failures of one kind are run again in growing waves, for as long as they do not come back.

    a wave     jobs, and how often each had been redriven: written down before the first of them is
    the next   is begun when all of this one are over, and none of them has failed the same way
    the end    the same failure is back, or all of a wave have failed, however; or nothing is left

The newest failure goes first. What is on its way when the same failure comes back is left to go on.
"""

from shared.canary import Fate, Over, State, Stop, Wait, next_of, over, pause_s, stopped
from shared.outcomes import Partial, Proceed, Snooze
from shared.payloads.redrive import RedrivePayload
from shared.payloads.results import ProcessResult
from shared.runtime.canary import left_alone, look_at_wave, run_again
from shared.runtime.context import Context
from shared.runtime.definition import job


@job(RedrivePayload)
async def redrive(payload: RedrivePayload, context: Context) -> ProcessResult | Partial | Snooze | Proceed:
    """One look at one wave: what is not yet run again is, unless the failure is back already."""
    look = await look_at_wave(payload, State.model_validate_json(context.checkpoint or "{}"), context)
    total = len(look.wave.jobs)
    context.progress(total - look.fates.count(Fate.ALIVE), total, message=look.words)
    just_begun = not look.is_back and await run_again(look, context)
    match step := next_of(look, just_begun=just_begun):
        case Stop():
            left, is_more = await left_alone(look, context)
            return stopped(look, step, left=left, is_more=is_more)
        case Wait():
            return Snooze(pause_s(look.wave, context.ports.now()), "wave_not_over")
        case Over():
            return over(look)
        case State():
            return Proceed(step.model_dump_json())


handler = redrive.lambda_handler
