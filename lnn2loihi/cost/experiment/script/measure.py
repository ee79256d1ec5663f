"""Runs the cases of plan.json on Loihi 2 (--sim: small ones of them in Lava's simulator) with no host in
the loop, appends one line of JSON a case to a log, and prints it: README.md explains both. Cases that are
in the log are not run again. Exit codes: 0 all ran; 1 the simulator counts otherwise than the plan; 2 wrong
options; 3 no board, or no Lava; 4 damaged plan or log; 5 something raised while a case ran"""
import argparse, dataclasses, functools, hashlib, json, os, platform, sys, time, traceback
HERE = os.path.dirname(os.path.abspath(__file__))
ask = argparse.ArgumentParser(description=__doc__)
ask.add_argument("--plan", default=os.path.join(HERE, "plan.json"))
ask.add_argument("--log", help="file to append to: log.jsonl beside this script, or simulator.jsonl with --sim")
ask.add_argument("--measure", choices=("time", "energy"), help="on a board, one in a run")
ask.add_argument("--case", action="append", help="run this one alone; may be given several times")
ask.add_argument("--steps", type=int, help="chip steps of a run, where not those of the plan")
for f in ("--sim", "--list"): ask.add_argument(f, action="store_true")
args, env, line, _ = ask.parse_args(), os.environ, os.fdopen(os.dup(1), "w"), os.dup2(2, 1)
if args.sim and args.measure: ask.error("--measure is for boards: the simulator measures nothing")
if not (args.sim or args.measure or args.list): ask.error("give --measure time, --measure energy or --sim")
if args.steps is not None and args.steps < 10: ask.error("--steps: give 10 or more")
args.log = args.log or os.path.join(HERE, "simulator.jsonl" if args.sim else "log.jsonl")
try:
    plan = json.load(open(args.plan, encoding="utf-8"))
    cases = {case["name"]: case for case in plan["small" if args.sim else "cases"]}
    text = json.dumps([plan["cases"], plan["small"]], sort_keys=True, separators=(",", ":"))
    if hashlib.sha256(text.encode()).hexdigest() != plan["sha256"]: raise ValueError("its fingerprint is another")
    if unknown := [name for name in args.case or () if name not in cases]:
        ask.error(f"--case {', '.join(unknown)}: the plan has {', '.join(cases)}")
    said = open(args.log, encoding="utf-8").read() if os.path.exists(args.log) else ""
    if said and not said.endswith("\n"): raise ValueError(f"{args.log} ends in half a line: delete that line")
    said = [json.loads(one) for one in said.splitlines() if one.strip()]
    ran = {(one["case"], one["measure"], one["on"]) for one in said if "error" not in one}
    if [one for one in said if one["plan"] != plan["sha256"]]: raise ValueError(f"{args.log} is of another plan")
except (OSError, ValueError, KeyError, TypeError) as error: ask.exit(4, f"damaged: {error!r}\n")
if args.list:
    for name, case in cases.items(): print(name, *case["measures"], case["question"], sep="\t", file=line)
    ask.exit(0)
try:
    import numpy as np, scipy.sparse as sp
    dataclasses.dataclass = functools.partial(dataclasses.dataclass, unsafe_hash=True)
    import lava.magma.compiler.var_model  # Python 3.11 and later want hashes of its defaults
    dataclasses.dataclass = dataclasses.dataclass.func
    from lava.magma.core import run_conditions, run_configs
    import lava.proc.graded.process as vec, lava.proc.prodneuron.process as prod
    from lava.proc.io import sink
    from lava.proc.lif.process import LIF
    from lava.proc.sparse.process import Sparse
    from lava.utils import loihi, weightutils
except Exception as error: ask.exit(3, f"Lava cannot be used here, see README.md: {error!r}\n")
KIND = {"threshold": vec.GradedVec, "rectifier": vec.GradedReluVec, "product": prod.ProdNeuron}
FIELDS = ("avg_time_per_step", "total_power", "static_total_power")  # microseconds, W, W
WAYS = {"SLURM", "PARTITION"}, {"SLURM", "BOARD"}, {"NXSDKHOST", "HOST_BINARY", "NOSLURM"}
FIT = "set SLURM=1 with one of PARTITION and BOARD, or else NXSDKHOST, HOST_BINARY and NOSLURM=1"
missing = "; ".join(text for fine, text in (
    (loihi.is_installed(), "module lava.utils.loihi2_profiler (Intel's extension) is missing"),
    (sum(way <= {*env} for way in WAYS) == 1, FIT),
    (env.get("LOIHI_GEN", "")[:2] == "N3", "set LOIHI_GEN, to N3B3 as a rule")) if not fine)
if missing and not args.sim: ask.exit(3, f"no board can be used: {missing}\n")
def run(case, steps):  # what was measured; in the simulator what was sent in the last step
    node, sinks, meters, counted = {}, {}, [], dict.fromkeys(("messages", "synaptic_operations"), 0)
    for name, kind, size in case["processes"]:
        node[name] = (KIND[kind](shape=(size,), vth=1) if kind in KIND else  # a source fires in each step
                      LIF(shape=(size,), vth=1, bias_mant=2, bias_exp=6, du=4095, dv=4095))
        if args.sim:
            sinks[name] = sink.RingBuffer(shape=(size,), buffer=steps)
            node[name].s_out.connect(sinks[name].a_in)
    kinds = {name: kind for name, kind, size in case["processes"]}
    for start, end, first, count, fan in case["synapses"]:
        size, begins = node[end].s_out.shape[0], kinds[start] == "source"  # a source adds 16, the others
        row = (np.arange(count * fan) % size).ravel()  # 2 / 2**7 of a message, which rounds to nothing
        made = Sparse(num_message_bits=0 if begins else 24, num_weight_bits=8, weight_exp=-1 if begins else -7,
                      sign_mode=weightutils.SignMode.MIXED, weights=sp.csr_matrix(
                          (np.full(count * fan, 32 if begins else 2), (row, first + np.repeat(np.arange(count), fan))),
                          (size, node[start].s_out.shape[0])))
        node[start].s_out.connect(made.s_in)
        made.a_out.connect(getattr(node[end], "a_in1" if kinds[end] == "product" else "a_in"))
    if args.measure:
        from lava.utils.loihi2_profiler import Loihi2ExecutionTime, Loihi2Power
        meters = [Loihi2ExecutionTime() if args.measure == "time" else Loihi2Power(num_steps=steps)]
    config = (run_configs.Loihi2SimCfg(select_tag="fixed_pt") if args.sim else
              run_configs.Loihi2HwCfg(callback_fxs=meters))
    try:
        made = node[case["processes"][0][0]]
        made.run(condition=run_conditions.RunSteps(num_steps=steps), run_cfg=config)
        last = {name: one.data.get()[:, -1] != 0 for name, one in sinks.items()}
    finally: made.stop()
    for start, _, first, count, fan in case["synapses"] * args.sim:
        sent = int(last[start][first : first + count].sum())
        counted = {"messages": counted["messages"] + sent,
                   "synaptic_operations": counted["synaptic_operations"] + sent * fan}
    return {f: float(np.mean(getattr(m, f))) for m in meters for f in FIELDS if hasattr(m, f)}, counted
code, measure = 0, args.measure or "counts"
for name in args.case or cases:
    if not args.sim and args.measure not in cases[name]["measures"]: continue
    if (name, measure, ["board", "simulator"][args.sim]) in ran: continue
    steps = args.steps or (10 if args.sim else cases[name]["steps"])
    found = {"plan": plan["sha256"], "case": name, "measure": measure, "steps": steps, "cores": None,
             "on": ["board", "simulator"][args.sim], "host": platform.node(), "date": time.strftime("%F"),
             **{k.lower(): env.get(k) for k in ("BOARD", "LOIHI_GEN", "PARTITION")}}
    try:
        measured, counted = run(cases[name], steps)
        found |= measured | (counted if args.sim else {})
        if args.sim and any(cases[name]["counts"][k] != v for k, v in counted.items()): code = code or 1
    except KeyboardInterrupt: raise
    except (Exception, SystemExit) as raised: found["error"], code = traceback.print_exc() or repr(raised), 5
    with open(args.log, "a", encoding="utf-8") as log: log.write(json.dumps(found) + "\n")
    print(json.dumps(found), file=line, flush=True)
ask.exit(code)
