// A queue worker: each file in inbox/ is a question; the answer of the LLM goes to outbox/.
// A file is {"question": "..."}. Its answer has the same name; the answer is copied into the log
// answers.jsonl; then the question is deleted. Without an LLM the questions wait. A file that holds
// no question goes to rejected/.
'use strict';
const fs = require('node:fs');
const { join } = require('node:path');
const timers = require('node:timers/promises');

const LLM = 'http://127.0.0.1:8080/v1/chat/completions';
const LOG = 'answers.jsonl';
const [CALL_LIMIT_MS, ATTEMPTS, PAUSE_MS, POLL_MS] = [5000, 3, 1000, 500];
const stop = new AbortController();
const now = () => new Date().toISOString();
const say = (text) => console.error(`${now()} ${text}`);
// Ends early when the worker is told to stop.
const rest = (ms) => timers.setTimeout(ms, null, { signal: stop.signal }).catch(() => null);

async function askOnce(question) {
  const messages = [{ role: 'user', content: question }];
  const reply = await fetch(LLM, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ messages, max_tokens: 24, temperature: 0 }),
    signal: AbortSignal.timeout(CALL_LIMIT_MS),
  });
  if (!reply.ok) throw new Error(`status ${reply.status}`);
  const text = (await reply.json()).choices[0].message.content;
  if (typeof text !== 'string') throw new Error('an answer without a text');
  return text;
}

// The calls that were made. The last one is `ok` if there is an answer.
async function ask(question) {
  const calls = [];
  while (calls.length < ATTEMPTS && !calls.at(-1)?.ok && !stop.signal.aborted) {
    if (calls.length) await rest(PAUSE_MS * calls.length);
    const call = { started: now(), ok: false };
    try {
      call.answer = await askOnce(question);
      call.ok = true;
    } catch (error) { say(`no answer: ${error.cause?.code ?? error.message}`); }
    calls.push({ ...call, ended: now() });
  }
  return calls;
}

// Writes all of the text, or leaves the file as it was.
function write(file, flags, text) {
  const out = fs.openSync(file, flags);
  const { size } = fs.fstatSync(out);
  try {
    fs.writeFileSync(out, text);
    fs.fsyncSync(out);
  } catch (error) {
    fs.ftruncateSync(out, size);
    throw error;
  } finally {
    fs.closeSync(out);
  }
}

// Under its name the file is there whole or not at all, also after a crash.
function publish(name, result) {
  const part = join('outbox', `.${name}.part`);
  try {
    write(part, 'w', JSON.stringify(result));
    fs.renameSync(part, join('outbox', name));
  } finally {
    fs.rmSync(part, { force: true });
  }
}

const logged = (name) => fs.existsSync(LOG) && fs.readFileSync(LOG, 'utf8').includes(`"${name}"`);

// True if the question is off the queue.
async function handle(name) {
  const [waiting, answered] = [join('inbox', name), join('outbox', name)];
  const before = fs.existsSync(answered); // an earlier life was ended before it was done with it
  if (!before) {
    const started = now();
    const content = fs.lstatSync(waiting).isFile() ? fs.readFileSync(waiting, 'utf8') : '';
    let question;
    try {
      ({ question } = JSON.parse(content));
      if (typeof question !== 'string') throw new TypeError('the question is no text');
    } catch (error) {
      say(`${name} is rejected: ${error.message}`);
      fs.renameSync(waiting, join('rejected', name));
      return true;
    }
    const calls = await worker.ask(question);
    if (!calls.at(-1)?.ok) return false;
    publish(name, { file: name, status: 'ANSWERED', started, ended: now(), calls });
  }
  if (!before || !logged(name)) write(LOG, 'a', `${fs.readFileSync(answered, 'utf8')}\n`);
  fs.unlinkSync(waiting);
  return true;
}

async function poll() {
  for (const folder of ['inbox', 'outbox', 'rejected']) fs.mkdirSync(folder, { recursive: true });
  const age = (name) => fs.lstatSync(join('inbox', name), { bigint: true }).mtimeNs;
  const names = fs.readdirSync('inbox').filter((name) => /^[^.].*\.json$/.test(name));
  const oldestFirst = names.map((name) => [age(name), name]).sort(([a], [b]) => Number(a - b));
  for (const [, name] of oldestFirst) {
    if (stop.signal.aborted || !(await worker.handle(name))) break; // the next one waits as well
  }
}

async function main() {
  process.on('SIGTERM', () => stop.abort());
  for (; !stop.signal.aborted; await rest(POLL_MS)) {
    await poll().catch((error) => say(`trouble: ${error.message}`)); // e.g. a full disk: try again
  }
}

const worker = (module.exports = { handle, ask, main });
if (require.main === module) worker.main();
