"""An inverted pendulum, and one policy three times: in float, as integers, and as compiled C.

    python examples/04_closed_loop_in_c.py                 # 200 episodes, less than a minute
    python examples/04_closed_loop_in_c.py --episodes 10   # fewer, for a look

A trained CfC swings a pendulum up and holds it, though its motor is too weak to lift it from the
side, and its speed is not among what the policy sees. The network becomes integers, and these
become C: `policy.c` and `policy.h`, compiled by this machine's compiler together with
examples/closed_loop_c/main.c, and run in a process of its own, which hears and answers through
pipes. Each policy moves a pendulum of its own, with the same start and the same noise of the
sensors in each episode. The actions of the integers in Python and of C have to be the same in every
step.

No float reaches the C code: samples are rounded to messages, and answers made floats, in Python.
Needs a C compiler, and nothing else that is not installed with this package.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import console, options, positive, run
from rich.progress import track

import lnn2loihi as l2l
from lnn2loihi.errors import BackendMissingError, CompiledRunError
from lnn2loihi.micro.processes import end, ended_how, started
from lnn2loihi.micro.tools import host_compiler, version_line
from lnn2loihi.models import pendulum
from lnn2loihi.models.pendulum.data import Pendulums, teaching

MAIN = Path(__file__).with_name("closed_loop_c") / "main.c"
CALIBRATION_SEED, TEST_SEED = 3_000_000, 4_000_000
#: Steps at the end of an episode in which a pendulum has to be up, and the reward that says so.
LAST, UP = 25, 0.9


def parsed() -> argparse.Namespace:
    """The options."""
    parser = options(__doc__, __file__)
    parser.add_argument("--episodes", type=positive, help="of each policy (default: 200)")
    parser.add_argument("--steps", type=positive, default=150, help="of an episode")
    parser.add_argument("--recipe", default="w8a12", help="of the integers")
    parser.add_argument("--seed", type=int, default=TEST_SEED, help="of the first episode")
    given = parser.parse_args()
    given.episodes = given.episodes or (4 if given.quick else 200)
    return given


@dataclass
class InC:
    """The policy in C, in the process of `child`."""

    child: subprocess.Popen[bytes]
    outputs: int

    def step(self, begins: bool, messages: np.ndarray) -> np.ndarray:
        """The answer to encoded messages (channels,), as messages (outputs,).

        Raises:
            CompiledRunError: the process has ended.
        """
        assert self.child.stdin is not None and self.child.stdout is not None
        wanted = 4 * self.outputs
        try:
            self.child.stdin.write(np.append(int(begins), messages).astype(np.int32).tobytes())
            self.child.stdin.flush()
            answer = self.child.stdout.read(wanted)
        except BrokenPipeError:
            answer = b""
        if len(answer) != wanted:
            end(self.child)
            raise CompiledRunError("policy in C", ended_how(self.child, "") + " within an episode")
        return np.frombuffer(answer, np.int32)


@contextmanager
def in_c(program: l2l.LoihiProgram, compiler: tuple[str, ...], folder: Path) -> Iterator[InC]:
    """The program, exported, compiled and started; its process is ended, whatever happens.

    Raises:
        BackendMissingError: the compiler fails.
    """
    l2l.export(program, folder / "policy.c", prefix="policy", goal="speed")
    built = folder / "policy"
    command = [*compiler, "-std=c99", "-O2", "-I", str(folder), "-o", str(built), str(MAIN)]
    command.append(str(folder / "policy.c"))
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise BackendMissingError("policy in C", f"{shlex.join(command)} fails: {done.stderr}")
    console.print(f"compiled by {version_line(compiler)}: {built}", highlight=False, soft_wrap=True)
    pipe = subprocess.PIPE
    child = started("policy in C", [str(built.resolve())], stdin=pipe, stdout=pipe)
    try:
        yield InC(child, program.output_population.size)
    finally:
        end(child)
        for opened in (child.stdin, child.stdout):
            with suppress(BrokenPipeError):  # what was still to be written has no reader
                if opened is not None:
                    opened.close()


@dataclass(frozen=True)
class Episode:
    """What both integer policies did: their rewards, and where an action differed first.

    `saturated` are input values of the one in Python that were outside of the calibrated range.
    """

    rewards: dict[str, np.ndarray]
    differ: int
    first: int | None
    saturated: int


def episode(program: l2l.LoihiProgram, c: InC, seed: int, steps: int) -> Episode:
    """The integers in Python and in C, each with a pendulum of its own."""
    stream, out, port = l2l.open_stream(program), program.output_population, program.input
    here, there = Pendulums(seed), Pendulums(seed)
    rewards: dict[str, np.ndarray] = {name: np.zeros(steps) for name in ("python", "c")}
    differ, first = 0, None
    for k in range(steps):
        action = stream.step(here.seen()[0])
        messages = c.step(k == 0, port.encode(there.seen()[None])[0][0, 0])
        if not np.array_equal(action, out.decode(messages)):
            differ, first = differ + 1, k if first is None else first
        rewards["python"][k] = here.act(action)[0]
        rewards["c"][k] = there.act(out.decode(messages))[0]
    return Episode(rewards, differ, first, int(stream.saturated.sum()))


def in_float(network: l2l.LiquidNetwork, seeds: np.ndarray, steps: int) -> np.ndarray:
    """Rewards of the float network, (episodes, steps), all episodes side by side."""
    pendulums, state = Pendulums(seeds), None
    rewards = np.zeros((len(seeds), steps))
    for k in range(steps):
        result = network.evaluate(pendulums.seen()[:, None], state)
        state = result.final_state
        rewards[:, k] = pendulums.act(result.outputs[:, 0])
    return rewards


def sentence(name: str, rewards: np.ndarray) -> str:
    """Returns of a policy, and how many of its pendulums stand at the end."""
    returns, up = rewards.sum(axis=1), (rewards[:, -LAST:] > UP).all(axis=1)
    return (
        f"{name}: a mean return of {returns.mean():.2f} (standard deviation {returns.std():.2f}); "
        f"{int(up.sum())} of {len(up)} pendulums stand in the last {min(LAST, rewards.shape[1])} "
        "steps."
    )


def main() -> None:
    """Quantizes, exports, compiles, and lets all three policies move pendulums."""
    given = parsed()
    given.out.mkdir(parents=True, exist_ok=True)
    compiler = host_compiler()
    network = pendulum.load()
    shown = teaching(256, given.steps, CALIBRATION_SEED)[0]
    program = l2l.quantize(network, calibrate=shown, recipe=given.recipe)
    l2l.save(program, given.out / "policy.l2l")
    console.print(str(program), highlight=False, soft_wrap=True)
    seeds = given.seed + np.arange(given.episodes)
    with in_c(program, compiler, given.out) as c:
        found = [
            episode(program, c, int(seed), given.steps)
            for seed in track(seeds, "episodes", console=console, disable=not console.is_terminal)
        ]
    floats = in_float(network, seeds, given.steps)
    python, compiled = (np.stack([e.rewards[name] for e in found]) for name in ("python", "c"))
    console.print(sentence("Float", floats), soft_wrap=True)
    console.print(sentence("Integers in Python", python), soft_wrap=True)
    console.print(sentence("Integers in C", compiled), soft_wrap=True)
    gap = python.sum(axis=1) - floats.sum(axis=1)
    console.print(
        f"Integers less float, episode by episode with the same seeds: {gap.mean():+.3f} on "
        f"average, {gap.min():+.2f} to {gap.max():+.2f}.", soft_wrap=True,
    )  # fmt: skip
    steps, differ = given.episodes * given.steps, sum(e.differ for e in found)
    outside = sum(e.saturated for e in found)
    console.print(
        f"{outside:,} of {steps * program.channels:,} input values of the integers were outside of "
        "the calibrated range, and were held at its ends.", soft_wrap=True,
    )  # fmt: skip
    console.print(
        f"Integers in Python and in C: {differ:,} of {steps:,} actions differ.", soft_wrap=True
    )
    if differ:
        place = next(n for n, e in enumerate(found) if e.differ)
        console.print(f"The first one is in episode {place}, step {found[place].first}.")
        raise SystemExit(2)


if __name__ == "__main__":
    run(main)
