"""Models the laboratory and its trainer as a state machine: an event gives the next state and effects to carry out.

No Textual, no socket, no process: a screen holds the state, reports events and carries out effects.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from bntui.keyframe import MOST_SEEDS
from bntui.link import OVER, PACES, Status
from bntui.link.requests import ForkRequest
from bntui.text.language import N_, _, ngettext
from bntui.viewer.goodbye import QUITS
from bntui.viewer.live_events import (
    AddNote,
    Anew,
    Announce,
    Appeared,
    ChangePace,
    Complain,
    Detach,
    Effect,
    Effects,
    Event,
    FollowFile,
    Heard,
    HungUp,
    Lead,
    Leave,
    LeaveAfter,
    MayFork,
    MoreSeeds,
    NoteWritten,
    NotStarted,
    PlayPause,
    Quit,
    RequestFork,
    SayOnce,
    Send,
    SendFailed,
    Start,
    Started,
    TrainAnew,
    TrainOne,
    Unsay,
)  # fmt: skip
from bntui.viewer.live_states import (
    Facts,
    Leaving,
    Live,
    Renewing,
    Replay,
    Starting,
    State,
    asked_of,
    begun,
    over,
    status_of,
    stops_with_us,
    training,
    waits,
    would_stop,
)
from bntui.viewer.looking import READ_ONLY

LAST_WORDS: Final = 3.0
"""Seconds that quitting waits for the trainer to save; the trainer saves in any case."""
NO_TRAINER: Final = N_("This recording has no live trainer: f forks a run.")
RESUMES: Final = N_("This recording has no live trainer: space resumes training, f forks a run.")
IS_OVER: Final = N_("Training has finished; everything is recorded.")
GONE: Final = N_("The trainer ended unexpectedly; its recording is saved. Space resumes it.")
LATER: Final = N_("A trainer is starting: write the note when it runs.")
ONE_AT_A_TIME: Final = N_("A fork is being created: one at a time.")
USUAL_SEEDS: Final = 8
"""What the key for more seeds asks for first."""

Next = tuple[State, Effects]

CHANGING: Final = (PlayPause, TrainOne, TrainAnew, MoreSeeds, ChangePace, NoteWritten, MayFork, RequestFork)
"""Events that change a recording or command a trainer."""


def after(state: State, event: Event, facts: Facts) -> Next:
    """The next state, and the effects to carry out."""
    if facts.read_only and isinstance(event, CHANGING):
        return state, (SayOnce(_(READ_ONLY)),)
    following, effects = _after(state, event, facts)
    lost = isinstance(event, HungUp | SendFailed)  # what follows is told when the new trainer does not start
    if facts.untrainable and not lost and any(_needs_new_trainer(state, effect) for effect in effects):
        return state, (Complain(facts.untrainable, _("No trainer")),)
    return following, effects


def _needs_new_trainer(state: State, effect: Effect) -> bool:
    if effect == "open form":
        return isinstance(state, Replay) or over(state)
    return isinstance(effect, Start | Anew) or effect == "train anew"


def _after(state: State, event: Event, facts: Facts) -> Next:
    match event:
        case Heard(status):
            return _heard(state, status)
        case HungUp():
            return _hung_up(state)
        case SendFailed(why):
            following, effects = _hung_up(state)
            return following, (Complain(why), *effects)
        case RequestFork(request):
            return _fork(state, request)
        case Appeared():
            return _appeared(state, event)
        case Started(live):
            return _started(state, live)
        case NotStarted(why):
            return _not_started(state, why)
        case Quit():
            return _quit(state, facts)
        case Detach():
            return _detach(state, facts)
        case MayFork():
            return state, _form(state, facts)
        case TrainAnew(seed):
            return _anew(state, facts, seed)
        case MoreSeeds():
            return _more_seeds(state, facts)
        case NoteWritten():
            return _note(state, event)
        case _:
            return _command(state, event, facts)


# --- status of the trainer ---


def _heard(state: State, status: Status) -> Next:
    effects: list[Effect] = [FollowFile(status.recording)]
    before = state.status if isinstance(state, Live) else state.last
    if status.message and (before is None or before.message != status.message):
        effects.append(Complain(status.message))
    if not isinstance(state, Live):
        return replace(state, last=status), tuple(effects)
    if before is not None and status.refused != before.refused:  # the first status may repeat an old refusal
        effects += [Complain(status.refusal, _("No fork")), "redraw"]
        state = replace(state, asked=None)
    if before is not None and status.commands < state.paced:
        status = replace(status, pace=before.pace)
    return replace(state, status=status), tuple(effects)


def _hung_up(state: State) -> Next:
    if isinstance(state, Leaving):
        return state, ("hang up", Leave())
    if not isinstance(state, Live):
        return state, ("hang up",)
    late = state.status is None or state.status.commands <= state.asked_at
    if state.asked is not None and late:  # the trainer ended without receiving the request: start another one for it
        return Starting(state.asked, last=state.status), ("hang up", "release", Start(state.asked), "redraw")
    gone = state.status is None or state.status.state not in OVER
    return Replay(state.status, gone), ("hang up", "redraw")


# --- commands ---


def _command(state: State, event: Event, facts: Facts) -> Next:
    if isinstance(state, Replay) and isinstance(event, PlayPause) and facts.unfinished:
        return Starting(None, last=state.last), ("clear notices", "release", Start(None), "redraw")
    if isinstance(state, Replay):
        return state, (SayOnce(why_not(state, facts)),)
    if not isinstance(state, Live):
        return state, ()
    if isinstance(event, ChangePace):
        return _paced(state, event.by)
    if isinstance(event, TrainOne):
        return _sending(state), (Send(event.command), "clear notices", "follow head")
    pauses, state = training(state), _sending(state)
    state = replace(state, ordered=state.sent, pauses=pauses)
    return state, (Send("pause" if pauses else "run"), "clear notices")


def _sending(state: Live) -> Live:
    return replace(state, sent=max(state.sent, 0 if state.status is None else state.status.commands) + 1)


def _paced(state: Live, by: int) -> Next:
    now = None if state.status is None else state.status.pace
    pace = next_pace(now, by)
    state = _sending(state)
    if state.status is not None:  # show the new pace at once; the trainer will confirm it
        state = replace(state, status=replace(state.status, pace=pace), paced=state.sent)
    return state, (Send("pace", (("epochs_per_second", pace),)), "clear notices", "redraw")


def next_pace(now: float | None, by: int) -> float | None:
    """The next faster (1) or slower (-1) pace of those that + and − step through."""
    speed = math.inf if now is None else now
    beyond = [pace for pace in PACES if ((math.inf if pace is None else pace) - speed) * by > 0]
    return (beyond[0] if by > 0 else beyond[-1]) if beyond else now


def why_not(state: State, facts: Facts) -> str:
    """The message that says why there is no trainer to command."""
    if isinstance(state, Replay) and state.gone:
        return _(GONE)
    if facts.looking:
        return _(facts.looking)
    if facts.unfinished:
        return _(RESUMES)
    return _(NO_TRAINER) if status_of(state) is None else _(IS_OVER)


# --- forks ---


def _form(state: State, facts: Facts) -> Effects:
    if facts.looking:
        return (SayOnce(_(facts.looking)),)
    if asked_of(state) is not None:
        return (SayOnce(_(ONE_AT_A_TIME)),)
    return () if isinstance(state, Renewing | Leaving) else ("open form",)


def _fork(state: State, request: ForkRequest) -> Next:
    """Through the live trainer, or one that is started for it."""
    if isinstance(state, Renewing | Leaving):
        return state, ()
    if asked_of(state) is not None:
        return state, (SayOnce(_(ONE_AT_A_TIME)),)
    if isinstance(state, Starting):
        return replace(state, then=request), ("redraw",)
    if isinstance(state, Replay) or over(state):
        return Starting(request, last=status_of(state)), ("clear notices", "release", Start(request), "redraw")
    at = 0 if state.status is None else state.status.commands
    state = _sending(replace(state, asked=request, asked_at=at))
    return state, ("clear notices", Send("fork", tuple(request.arguments().items())), "redraw")


def _appeared(state: State, event: Appeared) -> Next:
    """Select a new run if it is the requested fork; otherwise announce it."""
    asked = asked_of(state)
    if asked is None or (asked.run, asked.step) != (event.parent, event.step):
        return state, (Announce(event.run, event.epoch),)
    if isinstance(state, Live):
        state = replace(state, asked=None)
    return state, (Unsay(_(ONE_AT_A_TIME)), Lead(event.run, event.parent))


def _started(state: State, live: bool) -> Next:
    if not isinstance(state, Starting):
        return state, ()
    following = begun(live)
    return (following, ("redraw",)) if state.then is None else _fork(following, state.then)


def _anew(state: State, facts: Facts, seed: int | None) -> Next:
    """What is recorded stays; a training that was started here for this screen alone is stopped."""
    anew: Effect = "train anew" if seed is None else Anew(seed)
    if facts.looking:
        return state, (SayOnce(_(facts.looking)),)
    if asked_of(state) is not None:
        return state, (SayOnce(_(ONE_AT_A_TIME)),)
    if isinstance(state, Replay):
        return Renewing(state.last), ("clear notices", anew, "redraw")
    if not isinstance(state, Live):
        return state, ()
    stop = (Send("stop"),) if would_stop(state, facts) else ()
    return Renewing(state.status), ("clear notices", anew, *stop, "hang up", "redraw")


# --- seeds ---


def more_seeds(asked: int) -> int:
    """How many seeds the next press of the key asks for."""
    return USUAL_SEEDS if asked < USUAL_SEEDS else min(2 * asked, MOST_SEEDS)


def _more_seeds(state: State, facts: Facts) -> Next:
    """Through the live trainer, or one that is started for it; says what is still being trained."""
    if facts.looking:
        return state, (SayOnce(_(facts.looking)),)
    if isinstance(state, Starting | Renewing | Leaving):
        return state, ()
    status = state.status if isinstance(state, Live) else None
    if status is not None and status.seeds and not over(state):
        sentence = ngettext("{count} training with another seed is left", "{count} trainings with other seeds are left",
                            status.seeds)  # fmt: skip
        return state, (SayOnce(sentence.format(count=status.seeds)),)
    idle = isinstance(state, Replay) or over(state)
    seeds = facts.seeds if idle and facts.seeds_left else more_seeds(facts.seeds)
    if seeds <= facts.seeds and not (idle and facts.seeds_left):
        return state, (SayOnce(_("Every run has {count} seeds, and there can be no more.").format(count=seeds)),)
    said = SayOnce(_("Training every run with {count} seeds.").format(count=seeds))
    if idle:
        starting = Starting(None, last=status_of(state), seeds=seeds)
        return starting, ("clear notices", "release", Start(None, seeds), said, "redraw")
    assert isinstance(state, Live)
    return _sending(state), ("clear notices", Send("seeds", (("seeds", seeds),)), said)


def _note(state: State, note: NoteWritten) -> Next:
    """Through the live trainer, or into the file."""
    if isinstance(state, Live) and not over(state):
        arguments = (("run", note.run), ("step", note.step), ("text", note.text))
        return _sending(state), (Send("note", arguments),)
    return state, (AddNote(note),) if isinstance(state, Replay | Live) else (SayOnce(_(LATER)),)


def _not_started(state: State, why: str) -> Next:
    if isinstance(state, Renewing):
        return Replay(state.last), (Complain(why, _("Not trained again")), "redraw")
    if not isinstance(state, Starting):
        return state, ()
    title = _("No fork") if state.fork is not None or state.then is not None else _("Not resumed")
    if state.seeds is not None and state.then is None:
        title = _("No more seeds")
    return Replay(state.last), (Complain(why, title), "redraw")


# --- leaving ---


def _quit(state: State, facts: Facts) -> Next:
    """Another's training goes on, and one that others look at.  Asked twice, it does not wait for the trainer."""
    if isinstance(state, Starting | Renewing):
        return Leaving(state.last), ("discard", Leave())
    if not isinstance(state, Live):
        return state, (Leave(),)
    if not over(state) and not stops_with_us(state, facts):
        return state, (Leave(goes_on=True, stoppable=True),)
    # an open reader would block the trainer's last checkpoint, and leave the recording in several files
    return Leaving(state.status), (Send("stop"), "clear notices", "close reader", LeaveAfter(LAST_WORDS))


def _detach(state: State, facts: Facts) -> Next:
    if isinstance(state, Replay):
        return state, (SayOnce(why_not(state, facts) + " " + _(QUITS)),)
    return state, (Leave(goes_on=True),)


def how_to_end(state: State, facts: Facts) -> str:
    """The message that says which keys leave the screen."""
    if not isinstance(state, Live):
        return _(QUITS)
    if stops_with_us(state, facts):
        return _("d detaches, q stops and quits.")
    return _("q leaves; training stays paused.") if waits(state) else _("q leaves; training continues.")
