import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { startRig } from '../rig.ts';
import { Campaign, type Masks, planTrials, type Row } from './campaign.ts';
import type { Trial } from './trial.ts';

/**
 * `node e2e/chaos/acto/main.ts`: what people can do wrong with Felucca's kinds, and back again.
 * `--sample N` runs about N operations, spread over all fields; `--seed S` gives other values; `--only ID` repeats one
 * trial; `--results FILE` keeps every row and goes on where the file ends; `--lanes N` trials run side by side; `--list`
 * names them. Progress is on stderr; the last line of stdout counts.
 */
const { values: options } = parseArgs({
  options: {
    sample: { type: 'string' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', multiple: true },
    results: { type: 'string' },
    lanes: { type: 'string', default: '6' },
    list: { type: 'boolean', default: false },
  },
});
const say = (line: string): void => void process.stderr.write(`${line}\n`);

const masks: Masks = new Map();
const plan = planTrials(options.seed, masks);
const rows = rowsBefore(options.results);
const trials = chosen();
if (options.list) {
  for (const { id } of trials) process.stdout.write(`${id}\n`);
  process.exit(0);
}
if (options.only && trials.length === 0) throw new Error(`no trial has the id ${options.only.join(', ')}`);
say(`seed ${options.seed}: ${trials.length} of ${plan.length} trials, ${rows.length} rows from before`);

const now = await run(trials);
const failed = now.rows.filter(({ finding }) => finding);
for (const { id } of failed) process.stdout.write(`FAILED ${id}\n`);
const operations = now.rows.reduce((sum, row) => sum + row.operations, 0);
const executed = new Set(rows.map(({ id }) => id));
const leavesOf = (some: readonly { leaf?: string }[]): number =>
  new Set(some.flatMap(({ leaf }) => leaf ?? [])).size;
process.stdout.write(
  [
    `operations: ${operations} in ${now.seconds.toFixed(0)} s, ${(now.seconds / Math.max(1, operations)).toFixed(2)} s each`,
    `rollback failures: ${failed.filter(({ finding }) => finding?.includes('rollback')).length}`,
    `trials executed/existing: ${plan.filter(({ id }) => executed.has(id)).length}/${plan.length}`,
    `leaves executed/existing: ${leavesOf(rows)}/${leavesOf(plan)}`,
    `${now.rows.length - failed.length} passed, ${failed.length} failed, 0 skipped`,
    '',
  ].join('\n'),
);
process.exitCode = failed.length > 0 || now.rows.length === 0 ? 1 : 0;

function rowsBefore(file: string | undefined): Row[] {
  if (!file || !existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Row);
}

function chosen(): Trial[] {
  if (options.only) return plan.filter(({ id }) => options.only?.includes(id));
  const done = new Set(rows.filter(({ finding }) => !finding).map(({ id }) => id));
  let left = Number(options.sample ?? Number.POSITIVE_INFINITY);
  return plan.filter((trial) => {
    if (done.has(trial.id) || left <= 0) return false;
    left -= trial.operations;
    return true;
  });
}

async function run(wanted: readonly Trial[]): Promise<{ rows: Row[]; seconds: number }> {
  const made: Row[] = [];
  if (options.results) mkdirSync(dirname(options.results), { recursive: true });
  const onRow = (row: Row): void => {
    made.push(row);
    rows.push(row);
    if (options.results) appendFileSync(options.results, `${JSON.stringify(row)}\n`);
    if (row.finding) say(`FAILED ${row.id}\n    ${row.finding}`);
    else if (made.length % 50 === 0) say(`${made.length} trials`);
  };
  const rig = await startRig({ name: `acto-${process.pid}`, onProgress: say });
  try {
    const campaign = new Campaign(rig, Number(options.lanes), masks);
    await campaign.prepare();
    const started = performance.now();
    await campaign.run(wanted, onRow);
    return { rows: made, seconds: (performance.now() - started) / 1000 };
  } finally {
    if (made.some(({ finding }) => finding)) say(`the operator's last words:\n${rig.log().slice(-2_000)}`);
    await rig.stop();
  }
}
