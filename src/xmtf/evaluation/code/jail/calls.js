// A JavaScript program, and the tests that call it over pipes; see calls.py, which does the same for Python.

const __fs = require('fs'), __vm = require('vm');
const __IN = 3, __OUT = 4, __MOST_BYTES = 1 << 26;
globalThis.require = require;

function __encode(value) {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
  if (typeof value === 'number') {
    if (Number.isFinite(value) && !Object.is(value, -0)) return value;
    return { n: Object.is(value, -0) ? '-0' : String(value) };
  }
  if (value === undefined) return { u: 0 };
  if (typeof value === 'bigint') return { i: String(value) };
  if (typeof value !== 'object') throw new TypeError(`a ${typeof value} is no plain value`);
  if (Array.isArray(value)) return Array.from(value, __encode);
  if (value instanceof Map) return { m: Array.from(value, (pair) => pair.map(__encode)) };
  if (value instanceof Set) return { s: Array.from(value, __encode) };
  if (value instanceof Date) return { d: value.getTime() };
  const kind = Object.prototype.toString.call(value);
  if (kind !== '[object Object]') throw new TypeError(`${kind} is no plain value`);
  return { o: Object.keys(value).map((key) => [key, __encode(value[key])]) };
}

function __decode(told) {
  if (Array.isArray(told)) return told.map(__decode);
  if (told === null || typeof told !== 'object') return told;
  const [name, ...more] = Object.keys(told);
  const value = told[name];
  if (more.length === 0) {
    if (name === 'u') return undefined;
    if (name === 'n') return value === '-0' ? -0 : Number(value);
    if (name === 'i') return BigInt(value);
    if (name === 'd') return new Date(Number(value));
    if (name === 'm') return new Map(value.map(__decode));
    if (name === 's') return new Set(value.map(__decode));
    if (name === 'o') return Object.fromEntries(value.map(([key, each]) => [String(key), __decode(each)]));
  }
  throw new TypeError('not a value');
}

function __send(message) {
  const text = Buffer.from(JSON.stringify(message));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(text.length));
  let data = Buffer.concat([size, text]);
  while (data.length) data = data.subarray(__fs.writeSync(__OUT, data));
}

function __read(size) {
  const data = Buffer.alloc(size);
  for (let done = 0; done < size;) {
    const more = __fs.readSync(__IN, data, done, size - done, null);
    if (!more) throw new Error('the program ended before it answered');
    done += more;
  }
  return data;
}

function __receive() {
  const size = __read(8).readBigUInt64LE();
  if (size > __MOST_BYTES) throw new Error('a message of more than 64 MiB');
  return JSON.parse(__read(Number(size)).toString());
}

function __said(error) {
  try {
    return [String((error && error.name) || typeof error), String((error && error.message) || error).slice(0, 400)];
  } catch {
    return ['Error', 'without a text'];
  }
}

// The program: load it, then answer calls of its functions, each with its value or with its error.
function __serve() {
  try {
    __vm.runInThisContext(__receive());
  } catch (error) {
    __send({ error: __said(error) });
    process.exit(1);
  }
  __send({ value: null });
  for (;;) {
    const [name, values] = __receive();
    let answer;
    try {
      answer = { value: __encode(__vm.runInThisContext(name)(...values.map(__decode))) };
    } catch (error) {
      answer = { error: __said(error) };
    }
    __send(answer);
  }
}

function __answered() {
  const answer = __receive();
  if (answer !== null && typeof answer === 'object' && 'value' in answer) return __decode(answer.value);
  const [name, message] = answer.error;
  const error = new Error(String(message));
  error.name = String(name);
  throw error;
}

function __call(name, values) {
  __send([name, values.map(__encode)]);
  return __answered();
}

function __judge(run, token) {
  console.assert = (condition, ...what) => {
    if (!condition) throw new Error(['Assertion failed', ...what].map(String).join(': '));
  };
  try {
    run();
  } catch (error) {
    __fs.writeSync(2, __said(error).join(': '));
    process.exit(1);
  }
  // Only where nothing of the tests is left to fail.
  process.on('exit', (code) => { if (!code) __fs.writeSync(1, token); });
}

// The tests: give the program its text, then run them with its functions replaced by calls.
function __test(program, tests, token) {
  globalThis.__call = __call;
  __judge(() => {
    __send(program);
    __answered();
    __vm.runInThisContext(tests);
  }, token);
}

// Program and tests in one process.
function __together(text, token) {
  __judge(() => __vm.runInThisContext(text), token);
}
