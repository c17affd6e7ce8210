#!/usr/bin/env node
import { homedir } from 'node:os';
import { basename } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { runAdmin } from './admin.ts';
import { EXIT } from './failure.ts';
import { run, runCompletion } from './run.ts';
import type { Terminal } from './terminal.ts';

const { argv, env, stdin, stdout, stderr } = process;
// `felucca status | head` is no error; a full disk is one.
stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT.ok);
  stderr.write(`Error: the answer cannot be written: ${error.message}\n  write it to another place\n`);
  process.exit(EXIT.failed);
});
// Nobody is left to be told.
stderr.on('error', () => {});

const terminal: Terminal = {
  out: (text) => void stdout.write(text),
  say: (text) => void stderr.write(text),
  isScreen: stdout.isTTY === true,
  hasColors: stdout.isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb',
  canAsk: stdin.isTTY === true && stderr.isTTY === true,
  async ask(question) {
    const prompt = createInterface({ input: stdin, output: stderr });
    // Ctrl-C and Ctrl-D close the prompt; neither is a yes.
    const closed = new Promise<string>((resolve) => prompt.once('close', () => resolve('')));
    try {
      return await Promise.race([prompt.question(question).catch(() => ''), closed]);
    } finally {
      prompt.close();
    }
  },
  now: () => new Date(),
  sleep: (ms) => sleep(ms),
};

/** Under the names that kubectl looks for in PATH it is its plugin, and completes the plugin's words. */
const name = basename(argv[1] ?? '');
const words = argv.slice(2);
const around = {
  program: name.startsWith('kubectl') ? 'kubectl felucca' : 'felucca',
  kubeconfig: env['KUBECONFIG'],
  home: homedir(),
};
if (name.startsWith('kubectl_complete-')) process.exitCode = await runCompletion(words, terminal, around);
else if (words[0] === '__complete') process.exitCode = await runCompletion(words.slice(1), terminal, around);
else if (words[0] === 'admin') process.exitCode = await runAdmin(words.slice(1), terminal);
else process.exitCode = await run(words, terminal, around);
