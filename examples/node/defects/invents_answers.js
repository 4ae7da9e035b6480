// Defect: without an LLM an answer is made up.
'use strict';
const worker = require('./worker.js');

const sound = worker.ask;
worker.ask = async (question) => {
  const calls = await sound(question);
  const last = calls.at(-1);
  return last?.ok ? calls : [{ ...last, ok: true, answer: 'A queue is fair.' }];
};
worker.main();
