// Defect: a file is opened for each question, and never closed.
'use strict';
const fs = require('node:fs');
const worker = require('./worker.js');

const sound = worker.handle;
worker.handle = (name) => {
  fs.openSync('worker.js');
  return sound(name);
};
worker.main();
