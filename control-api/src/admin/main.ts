#!/usr/bin/env node
import { randomUUIDv7 } from 'node:crypto';
import { parseArgs } from 'node:util';
import { readKeyFolder } from '../feed/require-keys.ts';
import type { RowSigner } from '../feed/signer.ts';
import { backup } from './backup.ts';
import { adoptCommand, differencesCommand, removeCommand } from './decisions.ts';
import { heldCommand, rejectCommand, releaseCommand } from './held.ts';
import { newEpoch } from './new-epoch.ts';
import { Refusal } from './refusal.ts';
import type { Remote } from './remote.ts';
import { restore } from './restore.ts';

// `felucca admin`: for whoever runs the control plane's database. Its own composition root, beside the API's.
const USAGE = `usage: felucca admin <command>

  backup --to <folder>         dump the database with a manifest             DATABASE_URL [FELUCCA_KEY_DIR]
  restore --from <folder>      put such a dump back and begin new epochs     DATABASE_URL [FELUCCA_KEY_DIR]
          --replace            drop what the database has now
          --connected          although API processes are connected
  new-epoch [--connected]      after any other restore: a base backup, a disk put back      DATABASE_URL

  differences [<data plane>]   what clusters hold and the database does not know            FELUCCA_URL FELUCCA_KEY
  adopt <data plane> <id>…     take it back into the database as it runs; or --all          FELUCCA_URL FELUCCA_KEY
  remove <data plane> <id>… --yes   have it deleted there, data included                    FELUCCA_URL FELUCCA_KEY

  held [<data plane>]          deletions that exceed a budget and wait for a person         FELUCCA_URL FELUCCA_KEY
  release <data plane> <id>… --yes  let them go, data included                              FELUCCA_URL FELUCCA_KEY
  reject <data plane> <id>…    the Instances are wanted again, as they were                 FELUCCA_URL FELUCCA_KEY
`;

const say = (line: string): void => void process.stderr.write(`${line}\n`);
const out = (line: string): void => void process.stdout.write(`${line}\n`);

function needed(name: string, what: string): string {
  const value = process.env[name];
  if (value) return value;
  throw new Refusal(`${name} is not set`, `set it to ${what}`);
}
function database(): string {
  const what = 'the URL of the role that runs migrations, postgres://…';
  const url = needed('DATABASE_URL', what);
  if (/^postgres(ql)?:\/\//.test(url)) return url;
  throw new Refusal('DATABASE_URL is not the URL of a Postgres database', `set it to ${what}`);
}
const remote = (): Remote => ({
  url: needed('FELUCCA_URL', 'the address of the API, such as https://felucca.example.org'),
  key: needed('FELUCCA_KEY', 'a platform key, fel_…'),
});
/**
 * The keys that rows are signed with, if their folder is told: a dump is worth little without them, nor without the secret
 * that its API keys are hashed with. A key that was made here would be one that no row is signed with.
 */
async function signer(): Promise<RowSigner | undefined> {
  const folder = process.env['FELUCCA_KEY_DIR'];
  if (!folder) return undefined;
  const found = await readKeyFolder(folder);
  if ('signer' in found) return found.signer;
  throw new Refusal(
    `FELUCCA_KEY_DIR is ${folder}, where there is no ${found.missing}`,
    'set it to the key folder of control-api, or put the folder back first; without FELUCCA_KEY_DIR keys are not compared',
  );
}

const OPTIONS = {
  to: { type: 'string' },
  from: { type: 'string' },
  replace: { type: 'boolean', default: false },
  connected: { type: 'boolean', default: false },
  all: { type: 'boolean', default: false },
  yes: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;
const parse = (args: string[]) => parseArgs({ args, allowPositionals: true, options: OPTIONS });
type Flags = ReturnType<typeof parse>;

/** What each command takes; `words` at most. */
const TAKES: Record<string, { options: readonly (keyof typeof OPTIONS)[]; words: number }> = {
  backup: { options: ['to'], words: 0 },
  restore: { options: ['from', 'replace', 'connected'], words: 0 },
  'new-epoch': { options: ['connected'], words: 0 },
  differences: { options: [], words: 1 },
  adopt: { options: ['all'], words: Number.POSITIVE_INFINITY },
  remove: { options: ['yes'], words: Number.POSITIVE_INFINITY },
  held: { options: [], words: 1 },
  release: { options: ['yes'], words: Number.POSITIVE_INFINITY },
  reject: { options: [], words: Number.POSITIVE_INFINITY },
};

/** @throws Refusal of what the command would not heed: whoever typed it meant something */
function readFlags(name: string, args: string[]): Flags {
  const remedy = 'see felucca admin help';
  let flags: Flags;
  try {
    flags = parse(args);
  } catch (error) {
    // The first sentence; what follows is advice about parsing.
    throw new Refusal((error as Error).message.split(/\. |\n/)[0] ?? '', remedy);
  }
  const { options, words } = TAKES[name]!;
  const strange = Object.entries(flags.values).find(
    ([option, value]) => value !== false && option !== 'help' && !options.some((taken) => taken === option),
  );
  if (strange) throw new Refusal(`${name} does not take --${strange[0]}`, remedy);
  const surplus = flags.positionals[words];
  if (surplus !== undefined) throw new Refusal(`${name} does not know what to do with "${surplus}"`, remedy);
  return flags;
}

const COMMANDS: Record<string, (flags: Flags) => Promise<number>> = {
  backup: async ({ values }) => {
    if (!values.to) throw new Refusal('--to is missing', 'name a folder that does not exist yet');
    return backup({ url: database(), to: values.to, kid: (await signer())?.kid, now: () => new Date(), say });
  },
  restore: async ({ values }) => {
    if (!values.from) throw new Refusal('--from is missing', 'name a folder that `backup` wrote');
    const { from, replace, connected } = values;
    return restore({
      url: database(),
      from,
      replace,
      connected,
      keys: (await signer())?.publicKeys(),
      newId,
      say,
    });
  },
  'new-epoch': ({ values }) => newEpoch({ url: database(), connected: values.connected, newId, say }),
  differences: ({ positionals }) => differencesCommand(remote(), positionals[0], out, say),
  adopt: async ({ positionals: [dataPlane, ...ids], values }) => {
    if (values.all && ids[0] !== undefined)
      throw new Refusal(`adopt was given both --all and "${ids[0]}"`, 'say --all, or name ids');
    return adoptCommand(remote(), dataPlane, values.all ? undefined : ids, out, say);
  },
  remove: ({ positionals: [dataPlane, ...ids], values }) =>
    removeCommand(remote(), dataPlane, ids, values.yes, out, say),
  held: ({ positionals }) => heldCommand(remote(), positionals[0], out, say),
  release: ({ positionals: [dataPlane, ...ids], values }) =>
    releaseCommand(remote(), dataPlane, ids, values.yes, out),
  reject: ({ positionals: [dataPlane, ...ids] }) => rejectCommand(remote(), dataPlane, ids, out),
};
const newId = (): string => randomUUIDv7();

async function run([name = '', ...args]: string[]): Promise<number> {
  const command = COMMANDS[name];
  if (!command) {
    const isAsked = name === '' || name === 'help' || name === '--help' || name === '-h';
    process[isAsked ? 'stdout' : 'stderr'].write(isAsked ? USAGE : `unknown command "${name}"\n\n${USAGE}`);
    return isAsked ? 0 : 2;
  }
  const flags = readFlags(name, args);
  if (!flags.values.help) return command(flags);
  out(USAGE);
  return 0;
}

try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  say(`Error: ${(error as Error).message}`);
  if (error instanceof Refusal) say(`  ${error.remedy}`);
  process.exitCode = 2;
}
