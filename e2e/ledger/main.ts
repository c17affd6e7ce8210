import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Lines } from '@felucca/bench/agents/lines';
import { dataPlaneOf, LinkStage, organizationOf } from '@felucca/bench/link/stage';
import { pseudoRandom } from '@felucca/dev/pseudo-random';
import { audit } from './audit.ts';
import { troubled } from './faults.ts';
import { type Books, Tenant } from './tenants.ts';

/**
 * `node e2e/ledger/main.ts [--changes N] [--seed N]`: tenants order, change and delete over two processes of the API on a real
 * Postgres while these are killed and connections cut; then what was acknowledged is compared with what the database has and
 * what the data planes did. The last line counts acknowledged changes.
 */
const { values } = parseArgs({
  options: { changes: { type: 'string', default: '1000000' }, seed: { type: 'string', default: '1' } },
});
const changes = Number(values.changes);
const random = pseudoRandom(Number(values.seed));
const AGENTS = 50;
const TENANTS = 32;
const SETTLED_WITHIN_MS = 180_000;

const say = (line: string): void =>
  void process.stderr.write(`${new Date().toTimeString().slice(0, 8)} ${line}\n`);
const listed = (counts: Record<string, number>): string =>
  Object.entries(counts)
    .map(([what, count]) => `${count} ${what}`)
    .join(', ') || 'none';

async function settled(stage: LinkStage): Promise<void> {
  await stage.untilAllCurrent(SETTLED_WITHIN_MS);
  const endMs = performance.now() + SETTLED_WITHIN_MS;
  const open = async (): Promise<number> => {
    const { rows } = await stage.admin.query<{ open: number }>(
      `SELECT count(*)::int AS open FROM felucca.operations WHERE state NOT IN ('ready', 'superseded')`,
    );
    return rows[0]?.open ?? 0;
  };
  // One that does not end is found, and named, by the audit.
  while ((await open()) > 0 && performance.now() < endMs) await delay(500);
}

async function run(stage: LinkStage): Promise<boolean> {
  await stage.startApi();
  await stage.startAgents({ from: 0, to: AGENTS, overMs: 500, reports: true });
  // Tenants who delete in a storm are what is wanted here, and no budget.
  await stage.admin.query(`UPDATE felucca.data_planes SET spec = '{"deletionBudgetPercent": 100}'`);
  const lines = new Lines(TENANTS);
  stage.alsoAim((urls) => lines.aim(urls));
  await stage.aim();
  await stage.untilAllCurrent(30_000);

  const books: Books = { accounts: [], acknowledged: 0, replayed: 0, failed: {} };
  const homes = Array.from({ length: AGENTS }, (_, agent) => ({
    organization: organizationOf(agent),
    dataPlane: dataPlaneOf(agent),
  }));
  const shared = { lines, key: stage.platformKey, books, homes, random };
  const startMs = performance.now();
  let isOver = false;
  const faults = troubled(stage, random, () => isOver);
  const progress = setInterval(() => {
    const perSecond = books.acknowledged / ((performance.now() - startMs) / 1_000);
    say(`${books.acknowledged}/${changes} changes acknowledged, ${perSecond.toFixed(0)}/s`);
  }, 15_000);
  try {
    const tenants = Array.from({ length: TENANTS }, (_, number) => new Tenant(number, shared).run(changes));
    await Promise.all(tenants);
  } finally {
    clearInterval(progress);
    isOver = true;
    say(`faults: ${listed(await faults)}`);
  }
  say(
    `attempts without an acknowledgement: ${listed(books.failed)}; ${books.replayed} answers were replayed`,
  );
  await settled(stage);
  const differences = await audit(stage, books.accounts);
  for (const text of differences.shown) say(`DIFFERENCE ${text}`);
  const deleted = books.accounts.filter((account) => account.deleted).length;
  say(
    `${books.acknowledged} acknowledged changes of ${books.accounts.length} Instances, ${deleted} of them deleted: ` +
      `${differences.count} differences`,
  );
  lines.close();
  process.stdout.write(
    `${differences.count === 0 ? books.acknowledged : 0} passed, ${differences.count} failed, 0 skipped\n`,
  );
  return differences.count === 0;
}

const stage = await LinkStage.start('ledger', { say });
try {
  process.exitCode = (await run(stage)) ? 0 : 1;
} finally {
  await stage.stop();
}
