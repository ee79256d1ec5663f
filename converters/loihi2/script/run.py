"""Runs network.npz on Loihi 2 (--sim: in Lava's simulator), and prints JSON: README.md explains it.
Exit codes: 0 integers as expected, 1 others, 2 wrong options, 3 no board to use, 4 damaged file."""
import argparse, dataclasses, functools, json, os, platform, sys, time
import numpy as np
from scipy.sparse import csr_matrix
dataclasses.dataclass = functools.partial(dataclasses.dataclass, unsafe_hash=True)
import lava.magma.compiler.var_model  # Python 3.11 and later want hashes of what it has as defaults
dataclasses.dataclass = dataclasses.dataclass.func
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2HwCfg, Loihi2SimCfg
from lava.proc.graded.process import GradedReluVec, GradedVec
from lava.proc.io import sink, source
from lava.proc.prodneuron.process import ProdNeuron
from lava.proc.sparse.process import DelaySparse, Sparse
from lava.utils import loihi
from lava.utils.weightutils import SignMode
CLASS = {"rectifier": GradedReluVec, "threshold": GradedVec, "product": ProdNeuron}
FIELDS = ("avg_time_per_step", "total_power", "static_total_power")  # microseconds, W, W
def why_no_board(env):
    ways = {"SLURM", "PARTITION"}, {"SLURM", "BOARD"}, {"NXSDKHOST", "HOST_BINARY", "NOSLURM"}
    return "; ".join(text for fine, text in (
        (loihi.is_installed(), "module lava.utils.loihi2_profiler (Intel's extension) is missing"),
        (sum(way <= {*env} for way in ways) == 1, "set SLURM=1 with one of PARTITION and BOARD, or "
         "else NXSDKHOST, HOST_BINARY and NOSLURM=1"),
        (env.get("LOIHI_GEN", "")[:2] == "N3", "set LOIHI_GEN, to N3B3 as a rule")) if not fine)
def run(graph, arrays, key, names, args):
    """What the processes of these names sent, (steps, neurons) each, and what was measured."""
    def through(adapter, port, size):
        if args.sim and not args.adapters: return port
        from lava.proc.embedded_io import spike
        made = getattr(spike, adapter)(shape=(size,), num_message_bits=24)
        port.connect(made.inp)
        return made.out
    stream, node, sinks, meters = arrays[f"{key}.host"].T.copy(), {}, {}, []
    first, (channels, steps) = source.RingBuffer(data=stream), stream.shape
    send = {graph["host"]: through("PyToNxAdapter", first.s_out, channels)}
    for name, kind, size, vth, exp in graph["processes"]:
        node[name] = CLASS[kind](shape=(size,), vth=vth, **({"exp": exp} if exp else {}))
        send[name] = node[name].s_out
        if name in names:
            sinks[name] = sink.RingBuffer(shape=(size,), buffer=steps)
            through("NxToPyAdapter", send[name], size).connect(sinks[name].a_in)
    for place, (start, end, port, exponent, *shape) in enumerate(graph["synapses"]):
        row, column, mantissa, *late = arrays[f"{key}.{place}"]
        made = (DelaySparse if late else Sparse)(  # adds mantissa * 2**exponent * message
            weights=csr_matrix((2 * mantissa, (row, column)), shape), weight_exp=exponent - 1,
            num_weight_bits=8, num_message_bits=24, sign_mode=SignMode.MIXED,
            **{"delays": csr_matrix((delay, (row, column)), shape) for delay in late})
        send[start].connect(made.s_in)
        made.a_out.connect(getattr(node[end], port))
    if args.measure:
        from lava.utils.loihi2_profiler import Loihi2ExecutionTime, Loihi2Power
        meters = [Loihi2ExecutionTime() if args.measure == "time" else Loihi2Power(num_steps=steps)]
    config = Loihi2SimCfg(select_tag="fixed_pt") if args.sim else Loihi2HwCfg(callback_fxs=meters)
    try:
        first.run(condition=RunSteps(num_steps=steps), run_cfg=config)
        got = {n: (one.data.get().astype(np.int32).T << 8) >> 8 for n, one in sinks.items()}
    finally:
        first.stop()
    return got, {f: float(np.mean(getattr(m, f))) for m in meters for f in FIELDS if hasattr(m, f)}
def differences(arrays, got, shift):
    """[step, process, neuron, expected, got] of all, where adapters have added `shift` steps."""
    mine = np.flatnonzero(np.isin(arrays["process"], [*got]))
    step, want = arrays["sent"][:, None] + arrays["lag"][mine] + shift, arrays["want"][:, mine]
    found = np.concatenate([*got.values()], 1)[step, np.arange(len(mine))]
    return sorted([int(step[s, n]), str(arrays["process"][mine[n]]), int(arrays["neuron"][mine[n]]),
                   int(want[s, n]), int(found[s, n])] for s, n in np.argwhere(want != found))
ask = argparse.ArgumentParser(description=__doc__)
ask.add_argument("--file", default=os.path.join(os.path.dirname(__file__), "network.npz"))
ask.add_argument("--measure", choices=("time", "energy"), help="on a board, one in a run")
ask.add_argument("--save", help="file for all that was recorded, .npz")
for f in ("--sim", "--adapters", "--probes", "--trace"): ask.add_argument(f, action="store_true")
args, env, line = ask.parse_args(), os.environ, os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # all that Lava prints goes to stderr
try:
    arrays = dict(np.load(args.file, allow_pickle=False))
    about, graphs = (json.loads(str(arrays[name])) for name in ("about", "graphs"))
except Exception as error:
    sys.exit(print(f"{args.file} is damaged: {error!r}; export it again", file=sys.stderr) or 4)
if not args.sim and why_no_board(env):
    sys.exit(print(f"no board can be used: {why_no_board(env)}", file=sys.stderr) or 3)
said = about | {k.lower(): env.get(k) for k in ("BOARD", "LOIHI_GEN", "PARTITION")} | {"probes": [],
    "on": ["board", "simulator"][args.sim], "host": platform.node(), "date": time.strftime("%F")}
wrong = []
for key, probe in enumerate(graphs[1:] if args.probes else [], 1):
    try:
        got = [*run(probe, arrays, key, probe["record"], args)[0].values()][0].tolist()
    except Exception as error:
        got = repr(error)
    holds = [[m, k] for m, w in probe["models"] for k in range(4) if got[k:] == w[:len(w) - k]]
    said["probes"] += [{"question": probe["question"], "got": got, "holds": holds}]
if not args.probes:
    names = {*arrays["process"]} if args.sim or args.trace else graphs[0]["record"]
    got, measured = run(graphs[0], arrays, 0, names, args)
    if args.save: np.savez(args.save, **got)
    tries = [differences(arrays, got, shift) for shift in range(4)]
    shift, wrong = min(enumerate(tries), key=lambda one: len(one[1]))
    said |= {"shift": shift, "mismatches": len(wrong), "first_difference": wrong[:1], **measured}
print(json.dumps(said), file=line, flush=True)
sys.exit(1 if wrong else 0)
