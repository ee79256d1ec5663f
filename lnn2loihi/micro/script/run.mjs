// Runs a module of WebAssembly that reads standard input and writes standard output.
// Arguments: the file, and how many of its bytes the module is (a seal stands behind it).
import fs from "node:fs";

const [, , file, size] = process.argv;
const bytes = fs.readFileSync(file).subarray(0, Number(size));
let memory;
const host = {
  pull: (at, count) => fs.readSync(0, new Uint8Array(memory.buffer, at, count)),
  push: (at, count) => fs.writeSync(1, new Uint8Array(memory.buffer, at, count)),
};
const { instance } = await WebAssembly.instantiate(bytes, { host });
memory = instance.exports.memory;
process.exit(instance.exports.run());
