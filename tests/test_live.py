"""The state machine of the laboratory: its transitions, and laws that hold for every sequence of events."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bntui.link import OVER, PACES, Status
from bntui.link.requests import ForkRequest
from bntui.viewer import live, live_states
from bntui.viewer.feed import FRAME, SLOW_FRAME, Tempo
from bntui.viewer.live_events import (
    AddNote,
    Anew,
    Announce,
    Appeared,
    ChangePace,
    Complain,
    Detach,
    Effect,
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
from bntui.viewer.live_states import Facts, Leaving, Live, Renewing, Replay, Starting, State

ME = "this screen"
RUNNING = Status("running", 10, 9.8, 3, owner=ME, commands=4)
PAUSED = replace(RUNNING, state="paused")
FINISHED = replace(RUNNING, state="finished")
STOPPED = replace(RUNNING, state="stopped")
FORK = ForkRequest(0, 24, (("training.lr", 0.1),))
OTHER = ForkRequest(1, 48)
NOTE = NoteWritten(0, 24, "look here")
SEND_NOTE = Send("note", (("run", 0), ("step", 24), ("text", "look here")))
FACTS = Facts(ME)
UNFINISHED = Facts(ME, unfinished=True)
COMPARED = Facts(ME, compared=True)
SEEDED = replace(FACTS, seeds=8)
BANDING = replace(PAUSED, seeds=3)
SEEDS_8, SEEDS_16 = (SayOnce(f"Training every run with {count} seeds.") for count in (8, 16))
MOST = SayOnce("Every run has 64 seeds, and there can be no more.")
SEND_FORK = Send("fork", tuple(FORK.arguments().items()))


@pytest.mark.parametrize(
    ("before", "event", "facts", "after", "effects"),
    [
        # a trainer that is there is commanded
        (Live(RUNNING), PlayPause(), FACTS, Live(RUNNING, sent=5, ordered=5, pauses=True), [Send("pause")]),
        (Live(PAUSED), PlayPause(), FACTS, Live(PAUSED, sent=5, ordered=5), [Send("run")]),
        (Live(PAUSED), TrainOne("step"), FACTS, Live(PAUSED, sent=5), [Send("step"), "follow head"]),
        (Live(), PlayPause(), FACTS, Live(sent=1, ordered=1), [Send("run")]),
        # seeds are asked for: of the trainer, or of one that is started for them
        (Live(PAUSED), MoreSeeds(), FACTS, Live(PAUSED, sent=5), [Send("seeds", (("seeds", 8),)), SEEDS_8]),
        (Live(PAUSED), MoreSeeds(), SEEDED, Live(PAUSED, sent=5), [Send("seeds", (("seeds", 16),)), SEEDS_16]),
        (Live(BANDING), MoreSeeds(), SEEDED, Live(BANDING), [SayOnce("3 trainings with other seeds are left")]),
        (Live(PAUSED), MoreSeeds(), replace(FACTS, seeds=64), Live(PAUSED), [MOST]),
        (Replay(), MoreSeeds(), FACTS, Starting(None, seeds=8), ["release", Start(None, 8), SEEDS_8]),
        (
            Replay(), MoreSeeds(), replace(SEEDED, seeds_left=True), Starting(None, seeds=8),
            ["release", Start(None, 8), SEEDS_8],
        ),
        (
            Live(FINISHED), MoreSeeds(), SEEDED, Starting(None, last=FINISHED, seeds=16),
            ["release", Start(None, 16), SEEDS_16],
        ),
        (Starting(None, seeds=8), NotStarted("no"), FACTS, Replay(), [Complain("no", "No more seeds")]),
        (Starting(None, seeds=8), MoreSeeds(), FACTS, Starting(None, seeds=8), []),
        (Replay(), MoreSeeds(), replace(FACTS, compared=True), Replay(), [SayOnce(live_states.ONLY_LOOKING)]),
        (Replay(), TrainAnew(3), FACTS, Renewing(), [Anew(3)]),
        # one that is not is said, with the reason
        (Replay(), TrainOne("epoch"), FACTS, Replay(), [SayOnce(live.NO_TRAINER)]),
        (Replay(FINISHED), PlayPause(), FACTS, Replay(FINISHED), [SayOnce(live.IS_OVER)]),
        (Replay(), TrainOne("epoch"), UNFINISHED, Replay(), [SayOnce(live.RESUMES)]),
        (Replay(RUNNING, gone=True), ChangePace(1), UNFINISHED, Replay(RUNNING, gone=True), [SayOnce(live.GONE)]),
        (Replay(), PlayPause(), COMPARED, Replay(), [SayOnce(live_states.ONLY_LOOKING)]),
        # what was interrupted goes on
        (Replay(PAUSED), PlayPause(), UNFINISHED, Starting(None, last=PAUSED), ["release", Start(None)]),
        (Starting(None), PlayPause(), UNFINISHED, Starting(None), []),
        # a trainer that was started for a fork stops where the parent stands; space then trains all
        (Live(STOPPED), HungUp(), UNFINISHED, Replay(STOPPED), ["hang up"]),
        (Replay(STOPPED), PlayPause(), UNFINISHED, Starting(None, last=STOPPED), ["release", Start(None)]),
        (Starting(None), Started(True), FACTS, Live(), []),
        (Starting(None), Started(False), FACTS, Replay(), []),
        (Starting(None), NotStarted("no"), FACTS, Replay(), [Complain("no", "Not resumed")]),
        # forks
        (Live(PAUSED), MayFork(), FACTS, Live(PAUSED), ["open form"]),
        (Live(PAUSED), MayFork(), COMPARED, Live(PAUSED), [SayOnce(live_states.ONLY_LOOKING)]),
        (Live(PAUSED, FORK), MayFork(), FACTS, Live(PAUSED, FORK), [SayOnce(live.ONE_AT_A_TIME)]),
        (Live(PAUSED), RequestFork(FORK), FACTS, Live(PAUSED, FORK, sent=5, asked_at=4), [SEND_FORK]),
        (Live(FINISHED), RequestFork(FORK), FACTS, Starting(FORK, last=FINISHED), ["release", Start(FORK)]),
        (Replay(), RequestFork(FORK), FACTS, Starting(FORK), ["release", Start(FORK)]),
        (Starting(FORK), RequestFork(OTHER), FACTS, Starting(FORK), [SayOnce(live.ONE_AT_A_TIME)]),
        (Starting(None), RequestFork(FORK), FACTS, Starting(None, FORK), []),
        (Starting(None, FORK), Started(True), FACTS, Live(None, FORK, sent=1), [SEND_FORK]),
        (Starting(None, FORK), Started(False), FACTS, Starting(FORK), ["release", Start(FORK)]),
        (Starting(FORK), NotStarted("no"), FACTS, Replay(), [Complain("no", "No fork")]),
        (Live(PAUSED, FORK), Appeared(2, 0, 24, 1.5), FACTS, Live(PAUSED), [Unsay(live.ONE_AT_A_TIME), Lead(2, 0)]),
        (Live(PAUSED, FORK), Appeared(2, 0, 48, 1.5), FACTS, Live(PAUSED, FORK), [Announce(2, 1.5)]),
        (Live(PAUSED, FORK), Appeared(2, 1, 24, 1.5), FACTS, Live(PAUSED, FORK), [Announce(2, 1.5)]),
        (Live(PAUSED), Appeared(2, 0, 24, 1.5), FACTS, Live(PAUSED), [Announce(2, 1.5)]),
        (Replay(), Appeared(2, 0, 24, 1.5), FACTS, Replay(), [Announce(2, 1.5)]),
        (Leaving(RUNNING), Appeared(2, 0, 24, 1.5), FACTS, Leaving(RUNNING), [Announce(2, 1.5)]),
        (Starting(FORK), Appeared(2, 0, 48, 1.5), FACTS, Starting(FORK), [Announce(2, 1.5)]),
        (Starting(FORK), Appeared(2, 0, 24, 1.5), FACTS, Starting(FORK), [Unsay(live.ONE_AT_A_TIME), Lead(2, 0)]),
        # a fork that a trainer did not take in before it ended is made by another one
        (
            Live(PAUSED, FORK, 5, 0, 4), HungUp(), FACTS, Starting(FORK, last=PAUSED),
            ["hang up", "release", Start(FORK)],
        ),
        (Live(PAUSED, FORK, 5, 0, 3), HungUp(), FACTS, Replay(PAUSED, gone=True), ["hang up"]),
        (Live(None, FORK), HungUp(), FACTS, Starting(FORK), ["hang up", "release", Start(FORK)]),
        (
            Live(PAUSED, FORK, 5, 0, 4), SendFailed("broken"), FACTS, Starting(FORK, last=PAUSED),
            [Complain("broken"), "hang up", "release", Start(FORK)],
        ),
        # the end of a trainer
        (Live(FINISHED), HungUp(), FACTS, Replay(FINISHED), ["hang up"]),
        (Live(RUNNING), HungUp(), FACTS, Replay(RUNNING, gone=True), ["hang up"]),
        (Live(), HungUp(), FACTS, Replay(gone=True), ["hang up"]),
        (Starting(FORK), HungUp(), FACTS, Starting(FORK), ["hang up"]),
        # trained anew: what was started here for this screen alone is stopped, what others look at goes on
        (Replay(), TrainAnew(), FACTS, Renewing(), ["train anew"]),
        (Live(RUNNING), TrainAnew(), FACTS, Renewing(RUNNING), ["train anew", Send("stop"), "hang up"]),
        (Live(RUNNING), TrainAnew(), Facts("another"), Renewing(RUNNING), ["train anew", "hang up"]),
        (Live(FINISHED), TrainAnew(), FACTS, Renewing(FINISHED), ["train anew", "hang up"]),
        (Live(PAUSED, FORK), TrainAnew(), FACTS, Live(PAUSED, FORK), [SayOnce(live.ONE_AT_A_TIME)]),
        (Replay(), TrainAnew(), COMPARED, Replay(), [SayOnce(live_states.ONLY_LOOKING)]),
        (Starting(None), TrainAnew(), FACTS, Starting(None), []),
        (Leaving(RUNNING), TrainAnew(), FACTS, Leaving(RUNNING), []),
        (Renewing(RUNNING), TrainAnew(), FACTS, Renewing(RUNNING), []),
        (Renewing(RUNNING), RequestFork(FORK), FACTS, Renewing(RUNNING), []),
        (Renewing(RUNNING), MayFork(), FACTS, Renewing(RUNNING), []),
        (Renewing(RUNNING), HungUp(), FACTS, Renewing(RUNNING), ["hang up"]),
        (Renewing(RUNNING), SendFailed("gone"), FACTS, Renewing(RUNNING), [Complain("gone"), "hang up"]),
        (Renewing(RUNNING), NotStarted("no"), FACTS, Replay(RUNNING), [Complain("no", "Not trained again")]),
        (Renewing(RUNNING), Quit(), FACTS, Leaving(RUNNING), ["discard", Leave()]),
        # notes: through the trainer, or into the file
        (Live(PAUSED), NOTE, FACTS, Live(PAUSED, sent=5), [SEND_NOTE]),
        (Live(FINISHED), NOTE, FACTS, Live(FINISHED), [AddNote(NOTE)]),
        (Replay(), NOTE, FACTS, Replay(), [AddNote(NOTE)]),
        (Starting(None), NOTE, FACTS, Starting(None), [SayOnce(live.LATER)]),
        (Leaving(RUNNING), NOTE, FACTS, Leaving(RUNNING), [SayOnce(live.LATER)]),
        # leaving
        (Live(RUNNING), Detach(), FACTS, Live(RUNNING), [Leave(goes_on=True)]),
        (Starting(FORK), Detach(), FACTS, Starting(FORK), [Leave(goes_on=True)]),
        (Replay(), Detach(), FACTS, Replay(), [SayOnce(live.NO_TRAINER + " q quits.")]),
        (Replay(), Quit(), FACTS, Replay(), [Leave()]),
        (Starting(FORK, last=PAUSED), Quit(), FACTS, Leaving(PAUSED), ["discard", Leave()]),
        (
            Live(RUNNING), Quit(), FACTS, Leaving(RUNNING),
            [Send("stop"), "close reader", LeaveAfter(live.LAST_WORDS)],
        ),
        (Live(RUNNING), Quit(), Facts("another"), Live(RUNNING), [Leave(goes_on=True, stoppable=True)]),
        (
            Live(replace(RUNNING, clients=2)), Quit(), FACTS, Live(replace(RUNNING, clients=2)),
            [Leave(goes_on=True, stoppable=True)],
        ),
        (
            Live(FINISHED), Quit(), Facts("another"), Leaving(FINISHED),
            [Send("stop"), "close reader", LeaveAfter(live.LAST_WORDS)],
        ),
        (Leaving(RUNNING), Quit(), FACTS, Leaving(RUNNING), [Leave()]),
        (Leaving(RUNNING), HungUp(), FACTS, Leaving(RUNNING), ["hang up", Leave()]),
        (Leaving(RUNNING), SendFailed("gone"), FACTS, Leaving(RUNNING), [Complain("gone"), "hang up", Leave()]),
        (Leaving(RUNNING), Started(True), FACTS, Leaving(RUNNING), []),
        (Leaving(RUNNING), RequestFork(FORK), FACTS, Leaving(RUNNING), []),
        (Leaving(RUNNING), MayFork(), FACTS, Leaving(RUNNING), []),
    ],
)  # fmt: skip
def test_transitions(before: State, event: Event, facts: Facts, after: State, effects: list[Effect]) -> None:
    now, found = live.after(before, event, facts)
    assert now == after
    assert [effect for effect in found if effect not in ("redraw", "clear notices")] == effects


@pytest.mark.parametrize("state", OVER)
def test_a_trainer_that_is_done_is_over(state: Literal["finished", "stopped", "failed"]) -> None:
    status = replace(RUNNING, state=state, recording="/r.bntui")
    assert live.after(Live(RUNNING), Heard(status), FACTS) == (Live(status), (FollowFile("/r.bntui"),))
    assert live_states.over(Live(status))
    assert live_states.over(Replay(status))
    others: list[State] = [Live(RUNNING), Live(PAUSED), Live(), Replay()]
    assert not any(live_states.over(other) for other in others)


def test_a_refusal_is_said_each_time_but_not_one_that_somebody_else_heard() -> None:
    refused = replace(RUNNING, refusal="no such run", refused=5, commands=5)
    state, effects = live.after(Live(), Heard(refused), FACTS)
    assert not any(isinstance(effect, Complain) for effect in effects)
    state, effects = live.after(state, Heard(refused), FACTS)
    assert not any(isinstance(effect, Complain) for effect in effects)
    again = replace(refused, refused=6, commands=6)
    state, effects = live.after(Live(refused, FORK), Heard(again), FACTS)
    assert Complain("no such run", "No fork") in effects
    assert live_states.asked_of(state) is None


def test_a_failure_is_said() -> None:
    failed = replace(RUNNING, state="failed", message="the disk is full")
    assert Complain("the disk is full") in live.after(Live(RUNNING), Heard(failed), FACTS)[1]


def test_the_death_of_a_worker_is_said_while_training_continues() -> None:
    state, effects = live.after(Live(RUNNING), Heard(replace(RUNNING, message="a worker process died")), FACTS)
    assert Complain("a worker process died") in effects
    assert isinstance(state, Live)
    assert state.status is not None
    _state, effects = live.after(state, Heard(replace(state.status, keyframes=99)), FACTS)
    assert not any(isinstance(effect, Complain) for effect in effects)  # once is enough


@pytest.mark.parametrize("at", range(len(PACES)))
@pytest.mark.parametrize("by", [-1, 1])
def test_the_pace_walks_one_step_and_stays_at_the_ends(at: int, by: int) -> None:
    due = PACES[min(max(at + by, 0), len(PACES) - 1)]
    state, effects = live.after(Live(replace(RUNNING, pace=PACES[at])), ChangePace(by), FACTS)
    assert Send("pace", (("epochs_per_second", due),)) in effects
    told = live_states.status_of(state)
    assert told is not None
    assert told.pace == due


@pytest.mark.parametrize(
    ("pace", "slower", "faster"), [(7, 5, 10), (0.67, 0.5, 1), (0.1, 0.1, 0.2), (1000, 100, None), (None, 100, None)]
)
def test_a_pace_that_is_not_one_of_ours_walks_to_its_neighbours(
    pace: float | None, slower: float | None, faster: float | None
) -> None:
    for by, due in ((-1, slower), (1, faster)):
        effects = live.after(Live(replace(RUNNING, pace=pace)), ChangePace(by), FACTS)[1]
        assert Send("pace", (("epochs_per_second", due),)) in effects


def test_an_older_status_does_not_undo_a_pace() -> None:
    state: State = Live(RUNNING)
    for _ in range(2):
        state, _effects = live.after(state, ChangePace(1), FACTS)
        state, _effects = live.after(state, Heard(replace(RUNNING, keyframes=9)), FACTS)
    told = live_states.status_of(state)
    assert told is not None
    assert (told.pace, told.keyframes) == (50, 9)
    theirs = replace(RUNNING, pace=2, commands=6)
    state, _effects = live.after(state, Heard(theirs), FACTS)
    assert live_states.status_of(state) == theirs


def received_more(state: Live) -> bool:
    """The trainer has said since that it took in more commands than when it was asked."""
    return state.status is not None and state.status.commands > state.asked_at


EVENTS = st.one_of(
    st.builds(
        Heard,
        st.builds(
            Status,
            state=st.sampled_from(["running", "paused", *OVER]),
            pace=st.sampled_from(PACES),
            rate=st.just(1.0),
            keyframes=st.integers(0, 5),
            commands=st.integers(0, 9),
            refused=st.integers(0, 3),
            refusal=st.sampled_from(["", "why"]),
            owner=st.sampled_from([ME, "another"]),
            clients=st.integers(0, 2),
        ),
    ),
    st.sampled_from([PlayPause(), TrainOne("epoch"), TrainOne("step"), TrainAnew(), ChangePace(1), ChangePace(-1)]),
    st.sampled_from([MayFork(), Detach(), HungUp(), NOTE]),
    st.builds(RequestFork, st.sampled_from([FORK, OTHER])),
)


@given(st.lists(EVENTS, max_size=30), st.booleans(), st.booleans(), st.booleans(), st.randoms(use_true_random=False))
@settings(max_examples=400, deadline=None)
def test_no_sequence_loses_a_fork_or_starts_for_ever(  # type: ignore[no-untyped-def]
    events: list[Event], trained: bool, unfinished: bool, fails: bool, chance
) -> None:
    """A trainer as it is: it answers what it is sent, or is gone; what is started comes, or is refused."""
    facts = Facts(ME, unfinished=unfinished)
    state, connected, ended = live_states.begun(trained), trained, False
    owed: set[ForkRequest | None] = set()
    starting = 0
    renewing = False

    def happen(event: Event) -> None:
        nonlocal state, connected, starting, renewing, ended
        if isinstance(event, (HungUp, SendFailed)) and isinstance(state, Live) and received_more(state):
            owed.discard(live_states.asked_of(state))  # it stands in the recording until it is done
        state, effects = live.after(state, event, facts)
        if (
            isinstance(event, RequestFork)
            and SayOnce(live.ONE_AT_A_TIME) not in effects
            and not isinstance(state, Leaving | Renewing)
        ):
            owed.add(event.request)
        for effect in effects:
            match effect:
                case Send():
                    assert connected, "a command to nobody"
                    if fails and chance.random() < 0.3:
                        connected = False
                        happen(SendFailed("broken pipe"))
                        break
                case "hang up":
                    connected = False
                case "train anew":
                    assert not starting
                    assert not renewing, "two new recordings"
                    renewing = True
                case Start():
                    assert not starting, "two trainers for one recording"
                    starting += 1
                case Complain(_, title) if title:
                    owed.clear()  # it was said that it cannot be
                case Lead(_, parent):
                    owed.difference_update([each for each in (FORK, OTHER) if each.run == parent])
                case Leave():
                    ended = True

    def settle() -> None:
        """What was started is there, or not."""
        nonlocal connected, starting, renewing, ended
        if renewing and not ended:
            renewing = False
            assert isinstance(state, Renewing)
            if fails and chance.random() < 0.5:
                happen(NotStarted("no"))
            else:
                ended = True  # another screen shows the new recording
        while starting:
            starting -= 1
            assert isinstance(state, Starting)
            if fails and chance.random() < 0.3:
                happen(NotStarted("no"))
                continue
            connected = True
            for request in [state.fork] if state.fork is not None else []:
                happen(Appeared(7, request.run, request.step, 1.0))
            happen(Started(True))

    for event in events:
        if isinstance(event, (Heard, HungUp)) and not connected:
            continue
        happen(event)
        if isinstance(event, HungUp):
            connected = False
        assert isinstance(state, Starting) == bool(starting)
        assert isinstance(state, Live) <= connected
        if chance.random() < 0.5:
            settle()
        if ended:
            break
    settle()
    assert not isinstance(state, Starting)
    assert ended or not isinstance(state, Renewing)
    asked = live_states.asked_of(state)
    assert owed <= {asked} or ended
    if isinstance(state, Renewing):
        return
    happen(Quit())
    settle() if isinstance(state, Starting) else None
    assert ended or isinstance(state, Leaving)
    assert live.after(state, HungUp(), facts)[1][-1] == Leave() if isinstance(state, Leaving) else ended


def test_news_is_drawn_at_most_half_of_the_time() -> None:
    tempo = Tempo()
    assert tempo.wait(0.0) == 0
    quick = tempo.drawn(10.0, 10.001, slow=False)
    assert quick.wait(10.001) == pytest.approx(FRAME - 0.001)
    assert quick.wait(10.0 + FRAME) == 0
    assert tempo.drawn(10.0, 10.5, slow=False).wait(10.5) == pytest.approx(0.5)
    assert tempo.drawn(10.0, 10.001, slow=True).wait(10.0) == pytest.approx(SLOW_FRAME)


@pytest.mark.parametrize(
    ("state", "waits"),
    [
        (Live(RUNNING), False), (Live(PAUSED), True), (Live(FINISHED), False), (Live(), False),
        (Replay(), False), (Replay(PAUSED), False),  # nobody is connected
        (Live(RUNNING, ordered=5, pauses=True), True),  # the pause has been sent
        (Live(PAUSED, ordered=5), False),  # likewise a run
        (Live(PAUSED, ordered=4), True), (Live(RUNNING, ordered=4, pauses=True), False),  # this status knows of it
    ],
)  # fmt: skip
def test_a_trainer_waits_that_is_paused_or_was_told_to_pause(state: State, waits: bool) -> None:
    assert live_states.waits(state) == waits


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (Replay(RUNNING), "q quits."), (Starting(None), "q quits."),
        (Live(RUNNING), "d detaches, q stops and quits."),
        (Live(replace(RUNNING, clients=2)), "q leaves; training continues."),
        (Live(replace(RUNNING, owner="another")), "q leaves; training continues."),
        (Live(replace(PAUSED, owner="another")), "q leaves; training stays paused."),
    ],
)  # fmt: skip
def test_the_keys_that_end_it_are_named_with_what_becomes_of_the_training(state: State, words: str) -> None:
    assert live.how_to_end(state, FACTS) == words
