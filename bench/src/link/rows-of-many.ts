import { randomBytes, randomUUID } from 'node:crypto';
import { digestOf } from '@felucca/contract';
import { Identity } from '../../agents/identity.ts';
import { NOBODYS_KID } from './api-process.ts';
import { perSecond, type Row, seconds, spread, whole } from './row.ts';
import { type LinkStage, organizationOf } from './stage.ts';

const GOAL = { reportRowsPerSecond: 50_000 };
const REPORTS_AT_ONCE = 8;

/** Data planes `from` to `to`, each with so many Instances, written as an order's transaction would write them. */
export async function fillDataPlanes(
  stage: LinkStage,
  range: { from: number; to: number },
  instances: number,
): Promise<void> {
  await stage.seed(range.to);
  const { rows: organizations } = await stage.admin.query<{ id: string; name: string }>(
    'SELECT id, name FROM felucca.organizations',
  );
  const tenantIds = new Map(organizations.map(({ id, name }) => [name, id]));
  for (let agent = range.from; agent < range.to; agent += 1) {
    const organization = organizationOf(agent);
    const changes = Array.from({ length: instances }, (_, n) => {
      const spec = {
        blueprintRef: { name: 'bench', version: '1.0.0' },
        parameters: { text: `${agent} ${n} ${'.'.repeat(60)}` },
        suspend: false,
        deletionPolicy: 'Delete',
      };
      return {
        tenant_id: tenantIds.get(organization),
        kind: 'Instance',
        key: `${organization}/a${agent}-${n}`,
        id: randomUUID(),
        generation: 1,
        hash: digestOf(spec),
        spec,
        kid: NOBODYS_KID,
        sig: randomBytes(64).toString('base64url'),
        deleted: false,
        traceparent: null,
      };
    });
    await stage.admin.query('SELECT felucca.feed_commit($1, $2::jsonb)', [
      new Identity(agent).dataPlaneId,
      JSON.stringify(changes),
    ]);
  }
  await stage.admin.query('VACUUM ANALYZE');
}

/** First contact of many operators at once: all their rows travel. */
export async function measureSnapshots(
  stage: LinkStage,
  range: { from: number; to: number },
  instances: number,
): Promise<Row> {
  const agents = range.to - range.from;
  const api = stage.apis[0]!;
  const cpuBefore = api.cpuSeconds;
  await stage.startAgents({ ...range, overMs: 0, reports: true });
  const tookMs = await stage.untilAllCurrent(180_000);
  const rows = (await stage.askAgents('rows', undefined)).reduce((sum, count) => sum + count, 0);
  const cpu = api.cpuSeconds - cpuBefore;
  return {
    what: `first contact of ${whole(agents)} data planes with ${instances} resources each → all current`,
    goal: 'measured',
    measured: `${seconds(tookMs)} for ${whole(rows)} rows; ${cpu.toFixed(1)} s of the API's CPU`,
    holds: rows === agents * instances,
  };
}

/** Each agent reports on all of its Instances, again and again; to a server that believes everything, too. */
export async function measureReports(stage: LinkStage, instances: number, forMs: number): Promise<Row[]> {
  const flood = async (lastsMs: number) => {
    const [all] = await stage.askAgents('flood', {
      items: instances,
      atOnce: REPORTS_AT_ONCE,
      forMs: lastsMs,
    });
    return all!;
  };
  await flood(forMs / 4);
  const ours = await flood(forMs);
  const bare = await stage.withBareServer(async () => {
    await flood(forMs / 8);
    return flood(forMs / 2);
  });
  const measured = ({ rows, tookMs, samplesMs, others }: typeof ours): string => {
    const failed = Object.keys(others).length > 0 ? `; ${JSON.stringify(others)}` : '';
    return `${whole(perSecond(rows, tookMs))}/s, a report ${spread(samplesMs)}${failed}`;
  };
  const isClean = Object.keys(ours.others).length === 0;
  return [
    {
      what: `rows of reports stored, ${instances} in a report, ${REPORTS_AT_ONCE} reports at once`,
      goal: `≥ ${whole(GOAL.reportRowsPerSecond)}/s`,
      measured: measured(ours),
      holds: isClean && perSecond(ours.rows, ours.tookMs) >= GOAL.reportRowsPerSecond,
    },
    { what: 'the same by a server that checks nothing', goal: '', measured: measured(bare) },
  ];
}
