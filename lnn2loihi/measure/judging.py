"""What backends answer, before anybody times them: compared with what they should, and scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from lnn2loihi.measure.agreement import Verdict, compared
from lnn2loihi.measure.runner import Session
from lnn2loihi.measure.stopwatch import MOST_NUMBERS, Samples
from lnn2loihi.measure.trial import Trial
from lnn2loihi.network import FloatArray

#: Judges answers (batch, time, outputs).
Score = Callable[[FloatArray], Mapping[str, float]]
#: Steps of a stream that are compared.
MOST_STEPS = 1000


def judge(
    session: Session, own: Sequence[Trial], samples: Samples, score: Score | None = None
) -> None:
    """Compares and scores what a backend answers to all samples; its trials are told.

    Whole sequences are compared for all trials; streams, for the trials that stream, on the first
    steps of the first sequence. Answers that are off or no numbers refuse the trials, as errors do.

    Args:
        session: the backend.
        own: its trials.
        samples: all samples.
        score: judges answers of as many steps as the samples have.
    """
    truth, x, spans = own[0].runner.truth, samples.x, samples.timespans
    if truth is None and score is None:
        return
    try:
        session.activate()
        answer = answers(session, samples, own[0].runner.output_size)
    except Exception as error:  # a backend may fail in any way; the others go on
        for trial in own:
            trial.fail(error)
        return
    _tell(own, compared(answer, truth, x, spans))
    if all(trial.failure for trial in own):
        return
    if score is not None and answer.shape[:2] == x.shape[:2]:
        accuracy = score(answer)
        for trial in own:
            trial.accuracy = accuracy
    elif score is not None:
        text = f"not scored: it answers {answer.shape[1]} of {x.shape[1]} steps of a sequence"
        _tell(own, Verdict(remark=text))
    for trial in own:
        if trial.mode == "streaming" and truth is not None and not trial.failure:
            try:
                answer = stream_answers(session, samples)
            except Exception as error:
                trial.fail(error)
            else:
                _tell([trial], compared(answer, truth, x, spans, stream=True))


def _tell(trials: Sequence[Trial], verdict: Verdict) -> None:
    for trial in trials:
        if verdict.problem:
            trial.refuse(verdict.problem)
        if verdict.remark and verdict.remark not in trial.remarks:
            trial.remarks.append(verdict.remark)


def answers(session: Session, samples: Samples, outputs: int) -> FloatArray:
    """What a backend answers to all samples, in pieces that it can hold.

    Args:
        session: the backend.
        samples: all samples.
        outputs: outputs of a step.

    Returns:
        float64 (batch, time, outputs).
    """
    batch, time, inputs = samples.x.shape
    piece = max(MOST_NUMBERS // (time * (inputs + outputs)), 1)
    found: list[FloatArray] = []
    for first in range(0, batch, piece):
        part = slice(first, first + piece)
        spans = None if samples.timespans is None else samples.timespans[part]
        found.append(session.outputs(session.run(session.prepare(samples.x[part], spans))))
    return np.concatenate(found)


def stream_answers(session: Session, samples: Samples) -> FloatArray:
    """What a backend answers to the first steps of the first sequence, one after the other.

    Returns:
        float64 (1, steps, outputs), of at most MOST_STEPS steps.
    """
    spans = None if samples.timespans is None else samples.timespans[0, :MOST_STEPS]
    steps = session.prepare_steps(samples.x[0, :MOST_STEPS], spans)
    step = session.open_stream()
    return np.concatenate([session.outputs(step(sample)) for sample in steps], axis=1)
