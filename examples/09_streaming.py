"""Sensor lines come through a pipe or a socket, and every line is answered at once.

    python examples/09_streaming.py                      # starts a sensor of its own, both ways
    cat log.csv | python examples/09_streaming.py -      # lines of yours; answers on stdout
    python examples/09_streaming.py log.csv
    python examples/09_streaming.py --listen 5555        # the first who connects is the sensor

A line is `seconds,value`, for example `12.35,0.812`. A sample that was lost is a line without a
value (`12.40,`), a line with nan, or no line at all: the network is told how long it waited.
Answers are `seconds,estimate`: where the signal, without its noise, will be 0.1 s later. What is
unusual is said on stderr, with the number of the line: values and gaps beyond what the integers
were calibrated for, which are held at the ends of the range; lines that cannot be read, and times
that do not go on, which are left out; gaps after which the state is of no use, which begins anew.

The network is a CfC with irregular time (models/gappy_sensor), and all that runs are its integers.
"""

from __future__ import annotations

import argparse
import math
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from common import options, positive, run, say
from rich.console import Console

import lnn2loihi as l2l
from lnn2loihi.errors import InputError
from lnn2loihi.models import gappy_sensor
from lnn2loihi.models.gappy_sensor.data import AHEAD, PERIOD

CALIBRATION_SEED, SENSOR_SEED = 3_000_000, 4_000_000
#: A gap in seconds after which nothing that was heard before says anything.
FORGOTTEN = 10.0
#: What a line may have at most, and how many remarks of a kind are printed one by one.
LONGEST_LINE, SAID = 200, 5


@dataclass
class Remarks:
    """What was unusual: counted by kind, and the first few said line by line."""

    tell: Callable[[str], None]
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, line: int, words: str) -> None:
        """One more of a kind."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if self.counts[kind] <= SAID:
            more = "; more of this kind are only counted" if self.counts[kind] == SAID else ""
            self.tell(f"line {line}: {words}{more}")


class Answerer:
    """Answers lines of a sensor.

    Args:
        program: integers with one input, one output and irregular time.
        remarks: where it says what is unusual.
    """

    def __init__(self, program: l2l.LoihiProgram, remarks: Remarks) -> None:
        self.program, self.remarks = program, remarks
        self.stream = l2l.open_stream(program)
        self.lines = self.answers = 0
        self.seconds = 0.0
        self._last: float | None = None
        self._saturated = self.stream.saturated

    def answer(self, line: str) -> tuple[float, float] | None:
        """The time of a line and the estimate, or None where the line has no sample."""
        self.lines += 1
        sample = self._read(line)
        if sample is None:
            return None
        now, value = sample
        began = time.process_time()
        waited = PERIOD if self._last is None else now - self._last
        if waited > FORGOTTEN:
            self.remarks.add(
                "beginnings after long gaps", self.lines,
                f"{waited:.2f} s after the sample before: the state begins anew",
            )  # fmt: skip
            self.stream.reset()
            self._saturated = self.stream.saturated
            waited = PERIOD
        (estimate,) = self.stream.step(np.array([value]), waited / PERIOD)
        self._last = now
        self._say_saturations(value, waited)
        self.answers += 1
        self.seconds += time.process_time() - began
        return now, float(estimate)

    def _read(self, line: str) -> tuple[float, float] | None:
        """Time and value of a line, or None, with a remark, where it has no sample."""
        parts = line.strip().split(",")
        try:
            if len(line) > LONGEST_LINE or len(parts) != 2:
                raise ValueError
            now = float(parts[0])
            value = float(parts[1]) if parts[1].strip() else math.nan
        except ValueError:
            if self.lines > 1 or parts != ["seconds", "value"]:
                words = f"{line.strip()!r:.60} is not `seconds,value`, and is left out"
                self.remarks.add("lines that cannot be read", self.lines, words)
            return None
        if not math.isfinite(now) or (self._last is not None and now <= self._last):
            words = f"the time {now:g} s is not after {self._last} s, and the line is left out"
            self.remarks.add("lines whose time does not go on", self.lines, words)
            return None
        if not math.isfinite(value):
            missing = "has no value" if math.isnan(value) else f"has the value {value}"
            self.remarks.add(
                "lines without a sample", self.lines,
                f"{missing}: not answered; the next sample is told how long it waited",
            )  # fmt: skip
            return None
        return now, value

    def _say_saturations(self, value: float, waited: float) -> None:
        saturated = self.stream.saturated
        names = (("values", f"the value {value:g}"), ("gaps", f"a gap of {waited:.2f} s"))
        for (kind, words), more in zip(names, saturated - self._saturated, strict=True):
            if more:
                self.remarks.add(
                    f"{kind} beyond the calibrated range", self.lines,
                    f"{words} is beyond the calibrated range, and is taken for its end",
                )  # fmt: skip
        self._saturated = saturated

    def summary(self) -> str:
        """What was answered, how long that took, and what was unusual."""
        each = 1e6 * self.seconds / max(self.answers, 1)
        kinds = [f"{kind}: {count:,}" for kind, count in self.remarks.counts.items()]
        words = self.stream.saturated_words or {}
        inside = sum(int(count.sum()) for of in words.values() for count in of.values())
        kinds += [f"words that saturated inside neurons since the last beginning: {inside:,}"]
        return (
            f"{self.answers:,} of {self.lines:,} lines were answered, with {each:.0f} microseconds "
            f"of a processor for each. What was unusual: {'; '.join(kinds)}."
        )


def sensor(samples: int) -> Iterator[str]:
    """Lines of an invented sensor, with everything in them that goes wrong with sensors."""
    x, spans, _ = gappy_sensor.example(1, samples, SENSOR_SEED)
    at = np.cumsum(spans[0].astype(np.float64)) * PERIOD
    yield "seconds,value\n"
    for k, (now, value) in enumerate(zip(at, x[0, :, 0], strict=True)):
        late = 3.0 if k >= samples // 2 else 0.0  # a cable is out for three seconds
        late += 60.0 if k >= 3 * samples // 4 else 0.0  # and then for a minute
        if k % 97 == 50:
            yield f"{now + late - 0.02:.4f},\n"
        if k % 211 == 100:
            yield "#!&\n"
        shown = 9.0 if k % 307 == 200 else value
        yield f"{now + late:.4f},{shown:.5f}\n"


def through_pipe(samples: int) -> Iterator[str]:
    """Lines of a sensor in a process of its own, through a pipe."""
    command = [sys.executable, __file__, "--be-the-sensor", str(samples)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        yield from child.stdout
    if child.returncode:
        raise InputError("the sensor", f"its process ended with exit code {child.returncode}")


def through_socket(listener: socket.socket) -> Iterator[str]:
    """Lines of whoever connects first, until the connection is closed."""
    connection, _ = listener.accept()
    with connection, connection.makefile("r", encoding="utf-8", errors="replace") as lines:
        yield from lines


def bound(port: int) -> socket.socket:
    """A socket of this machine that listens; port 0 is any that is free."""
    if not 0 <= port < 1 << 16:
        raise InputError("--listen", f"{port} is no port; ports are 0 to 65535")
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise InputError("--listen", f"port {port} of this machine: {error}") from None


def answered(
    program: l2l.LoihiProgram,
    lines: Iterable[str],
    tell: Callable[[str], None],
    write: Callable[[str], object],
) -> Answerer:
    """Answers all lines, each before the next one is read."""
    answerer = Answerer(program, Remarks(tell))
    write("seconds,estimate\n")
    try:
        for line in lines:
            answer = answerer.answer(line)
            if answer is not None:
                write(f"{answer[0]:.4f},{answer[1]:.6f}\n")
    except KeyboardInterrupt:
        tell("interrupted")
    except BrokenPipeError:
        tell("whoever read the answers has gone")
        sys.stdout = None  # the interpreter would try to write again at its end
    return answerer


def errors(program: l2l.LoihiProgram, network: l2l.LiquidNetwork, quick: bool) -> str:
    """How good the estimates are on sequences of another seed, beside what is simpler."""
    x, spans, y = gappy_sensor.example(64 if quick else 512, 160, SENSOR_SEED + 1)
    late = slice(40, None)

    def error(estimate: np.ndarray) -> float:
        return float(np.sqrt(np.mean((estimate - y)[:, late] ** 2)))

    results = {
        "integers": l2l.simulate(program, x, timespans=spans).outputs,
        "integers that are told that no time was lost": l2l.simulate(
            program, x, timespans=np.ones_like(spans)
        ).outputs,
        "the float network": network.evaluate(x, timespans=spans).outputs,
        "the last sample as it came": x,
    }
    said = "; ".join(f"{name} {error(estimate):.4f}" for name, estimate in results.items())
    return (
        f"Root mean square errors {AHEAD:g} s ahead, over {len(x)} sequences that training did not "
        f"see (a signal of about 0.75 with noise of 0.15): {said}."
    )


def parsed() -> argparse.Namespace:
    """The options."""
    parser = options(__doc__, __file__)
    parser.add_argument("source", nargs="?", help="a file of lines, or - for standard input")
    parser.add_argument("--listen", type=int, metavar="PORT", help="wait for a sensor there")
    parser.add_argument("--samples", type=positive, default=2_000, help="of the sensor of its own")
    parser.add_argument("--recipe", default="w8a12", help="of the integers")
    parser.add_argument("--be-the-sensor", type=positive, help=argparse.SUPPRESS)
    return parser.parse_args()


def of_its_own(program: l2l.LoihiProgram, samples: int, out: Path) -> None:
    """The example's own sensor, through a pipe and through a socket.

    Raises:
        SystemExit: with code 2 where the two ways give different answers.
    """
    written: dict[str, list[str]] = {"pipe": [], "socket": []}
    say("A process of its own is the sensor, and speaks through a pipe:")
    answerer = answered(program, through_pipe(samples), say, written["pipe"].append)
    say(answerer.summary())
    with bound(0) as listener:
        address = listener.getsockname()
        say(f"The same sensor speaks through a socket, port {address[1]}:")

        def speak() -> None:
            with socket.create_connection(address) as connection:
                connection.sendall("".join(sensor(samples)).encode())

        speaker = threading.Thread(target=speak, daemon=True)
        speaker.start()
        heard, write = through_socket(listener), written["socket"].append
        again = answered(program, heard, lambda _: None, write)
        speaker.join()
    say(again.summary())
    differ = sum(a != b for a, b in zip(written["pipe"], written["socket"], strict=True))
    say(f"{differ} of {again.answers:,} answers differ between pipe and socket.")
    out.mkdir(parents=True, exist_ok=True)
    (out / "answers.csv").write_text("".join(written["pipe"]), encoding="utf-8")
    say(f"Written: {out / 'answers.csv'}")
    if differ:
        raise SystemExit(2)


def main() -> None:
    """Answers the lines of one source, or of the example's own sensor."""
    given = parsed()
    if given.be_the_sensor:
        sys.stdout.writelines(sensor(given.be_the_sensor))
        return
    if given.source is not None and given.listen is not None:
        raise InputError("--listen", f"{given.listen} and {given.source}: give one source of lines")
    network = gappy_sensor.load()
    x, spans, _ = gappy_sensor.example(64 if given.quick else 256, 160, CALIBRATION_SEED)
    program = l2l.quantize(network, x, given.recipe, calibrate_timespans=spans)
    if given.source is None and given.listen is None:
        say(errors(program, network, given.quick))
        of_its_own(program, min(given.samples, 400) if given.quick else given.samples, given.out)
        return
    aside = Console(stderr=True)

    def tell(text: str) -> None:
        aside.print(text, markup=False, highlight=False, soft_wrap=True)

    def write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    source: str | None = given.source
    if given.listen is not None:
        with bound(given.listen) as listener:
            tell(f"waiting for a sensor at port {listener.getsockname()[1]} of 127.0.0.1")
            tell(answered(program, through_socket(listener), tell, write).summary())
    elif source == "-":
        tell(answered(program, sys.stdin, tell, write).summary())
    elif source is not None:
        try:
            with Path(source).open(encoding="utf-8", errors="replace") as lines:
                tell(answered(program, lines, tell, write).summary())
        except OSError as error:
            raise InputError(source, f"cannot be read: {error.strerror}") from None


if __name__ == "__main__":
    run(main)
