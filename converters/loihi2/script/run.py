"""Runs network.npz on Loihi 2 (--sim: in Lava's simulator), and prints JSON: README.md explains it.
Exit codes: 0 all as expected; 1 integers differ; 2 wrong options; 3 no board, or no Lava; 4 damaged
file; 5 something raised while it ran; 6 a probe raised, or fits another model than is counted on"""
import argparse, dataclasses, functools, hashlib, json, os, platform, sys, time, traceback
ask = argparse.ArgumentParser(description=__doc__)
ask.add_argument("--file", default=os.path.join(os.path.dirname(__file__), "network.npz"))
ask.add_argument("--measure", choices=("time", "energy"), help="on a board, one in a run")
ask.add_argument("--save", help="file for all that was recorded, .npz")
for f in ("--sim", "--adapters", "--probes", "--trace"): ask.add_argument(f, action="store_true")
args, env, line, _ = ask.parse_args(), os.environ, os.fdopen(os.dup(1), "w"), os.dup2(2, 1)
if args.sim and args.measure: ask.error("--measure is for boards: the simulator measures nothing")
if args.probes and (args.measure or args.save or args.trace): ask.error("--probes goes alone")
try:
    import numpy as np, scipy.sparse as sp
    dataclasses.dataclass = functools.partial(dataclasses.dataclass, unsafe_hash=True)
    import lava.magma.compiler.var_model  # Python 3.11 and later want hashes of its defaults
    dataclasses.dataclass = dataclasses.dataclass.func
    from lava.magma.core import run_conditions, run_configs
    import lava.proc.graded.process as vec, lava.proc.prodneuron.process as prod
    from lava.proc.io import sink, source
    from lava.proc.sparse.process import DelaySparse, Sparse
    from lava.utils import loihi, weightutils
except Exception as error: ask.exit(3, f"Lava cannot be used here, see README.md: {error!r}\n")
CLASS = {"rectifier": vec.GradedReluVec, "threshold": vec.GradedVec, "product": prod.ProdNeuron}
FIELDS = ("avg_time_per_step", "total_power", "static_total_power")  # microseconds, W, W
HOST = {source.RingBuffer: source.PySendModelFixed, sink.RingBuffer: sink.PyReceiveModelFixed}
WAYS = {"SLURM", "PARTITION"}, {"SLURM", "BOARD"}, {"NXSDKHOST", "HOST_BINARY", "NOSLURM"}
FIT = "set SLURM=1 with one of PARTITION and BOARD, or else NXSDKHOST, HOST_BINARY and NOSLURM=1"
def run(key, graph, names):  # what these processes sent, (steps, neurons) each; what was measured
    def through(adapter, port, size):
        if args.sim and not args.adapters: return port
        from lava.proc.embedded_io import spike
        made = getattr(spike, adapter)(shape=(size,), num_message_bits=24)
        port.connect(made.inp)
        return made.out
    stream, sinks, meters = arrays[f"{key}.host"].T.copy(), {}, []
    first, (channels, steps) = source.RingBuffer(data=stream), stream.shape
    node = {graph["host"]: through("PyToNxAdapter", first.s_out, channels)}
    for name, kind, size, vth, exp in graph["processes"]:
        node[name] = CLASS[kind](shape=(size,), vth=vth, **({"exp": exp} if exp else {}))
        if name in names:
            sinks[name] = sink.RingBuffer(shape=(size,), buffer=steps)
            through("NxToPyAdapter", node[name].s_out, size).connect(sinks[name].a_in)
    for place, (start, end, port, exponent, *shape) in enumerate(graph["synapses"]):
        row, column, mantissa, *late = arrays[f"{key}.{place}"]
        made = (DelaySparse if late else Sparse)(  # adds mantissa * 2**exponent * message
            weights=sp.csr_matrix((2 * mantissa, (row, column)), shape), weight_exp=exponent - 1,
            num_weight_bits=8, num_message_bits=24, sign_mode=weightutils.SignMode.MIXED,
            **{"delays": sp.csr_matrix((d, (row, column)), shape) for d in late})
        getattr(node[start], "s_out", node[start]).connect(made.s_in)
        made.a_out.connect(getattr(node[end], port))
    if args.measure:
        from lava.utils.loihi2_profiler import Loihi2ExecutionTime, Loihi2Power
        meters = [Loihi2ExecutionTime() if args.measure == "time" else Loihi2Power(num_steps=steps)]
    config = (run_configs.Loihi2SimCfg(select_tag="fixed_pt") if args.sim else  # HOST: no floats
              run_configs.Loihi2HwCfg(callback_fxs=meters, exception_proc_model_map=HOST))
    try:
        first.run(condition=run_conditions.RunSteps(num_steps=steps), run_cfg=config)
        got = {n: (one.data.get().astype(np.int32).T << 8) >> 8 for n, one in sinks.items()}
    finally: first.stop()
    return got, {f: float(np.mean(getattr(m, f))) for m in meters for f in FIELDS if hasattr(m, f)}
def asked(key, probe):  # what a probe answers; models that fit, with the steps that adapters add
    try: got = [*run(key, probe, probe["record"])[0].values()][0].tolist()
    except (Exception, SystemExit) as error: got = traceback.print_exc() or repr(error)
    fit = [[text, late] for text, late, want in probe["models"] if got == want]
    return {"question": probe["question"], "model": probe["models"][0][0], "got": got, "holds": fit}
def differences(got, shift):  # [step, process, neuron, expected, got] of all, so many steps later
    mine = np.flatnonzero([process in got for process, neuron in net["neurons"]])
    step, want = arrays["sent"][:, None] + arrays["lag"][mine] + shift, arrays["want"][:, mine]
    found = np.concatenate([*got.values()], 1)[step, np.arange(len(mine))]
    return sorted([int(step[s, n]), *net["neurons"][mine[n]], int(want[s, n]),
                   int(found[s, n])] for s, n in np.argwhere(want != found))
try:
    arrays = dict(np.load(args.file, allow_pickle=False))
    said, (net, *probes) = (json.loads(str(arrays[name])) for name in ("about", "graphs"))
    found = {name: hashlib.sha256(one.tobytes()).hexdigest() for name, one in arrays.items()}
    if found | said.pop("arrays") != found: raise ValueError("fingerprints of arrays are others")
except Exception as error: ask.exit(4, f"{args.file} is damaged or absent: {error!r}\n")
missing = "; ".join(text for fine, text in (
    (loihi.is_installed(), "module lava.utils.loihi2_profiler (Intel's extension) is missing"),
    (sum(way <= {*env} for way in WAYS) == 1, FIT),
    (env.get("LOIHI_GEN", "")[:2] == "N3", "set LOIHI_GEN, to N3B3 as a rule")) if not fine)
if missing and not args.sim: ask.exit(3, f"no board can be used: {missing}\n")
said |= {k.lower(): env.get(k) for k in ("BOARD", "LOIHI_GEN", "PARTITION")} | {"probes": [],
    "on": ["board", "simulator"][args.sim], "host": platform.node(), "date": time.strftime("%F")}
try:
    if args.probes:
        said["probes"] = [asked(key, probe) for key, probe in enumerate(probes, 1)]
        shift = max(range(4), key=[k for one in said["probes"] for _, k in one["holds"]].count)
        bad = [p["question"] for p in said["probes"] if [p["model"], shift] not in p["holds"]]
        said["unexpected"] = bad
    else:
        got, measured = run(0, net, arrays["process"] if args.sim or args.trace else net["record"])
        shift, bad = min(((k, differences(got, k)) for k in range(4)), key=lambda one: len(one[1]))
        said |= {"mismatches": len(bad), "first_difference": bad[:1]} | measured
        if args.save: np.savez(args.save, **got)
    said["shift"], code = shift, (6 if args.probes else 1) if bad else 0
except (Exception, SystemExit) as raised:
    said["error"], code = traceback.print_exc() or repr(raised), 5
ask.exit(code, print(json.dumps(said), file=line, flush=True))
