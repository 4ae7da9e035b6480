// Defect: each answer is written to the log twice.
'use strict';
const fs = require('node:fs');
const worker = require('./worker.js');

const sound = worker.handle;
worker.handle = async (name) => {
  const done = await sound(name);
  if (done) fs.appendFileSync('answers.jsonl', fs.readFileSync(`outbox/${name}`) + '\n');
  return done;
};
worker.main();
