import { ANNOTATIONS, frameSchema, type Op, objectRef } from '@felucca/contract';
import { deltaLine } from '@felucca/control-api/feed/frames';
import { RowApplier } from '@felucca/operator/sync/apply';
import { ClusterError } from '@felucca/operator/sync/cluster';
import type { SyncContext } from '@felucca/operator/sync/context';
import { Deletions } from '@felucca/operator/sync/deletions';
import { Lanes } from '@felucca/operator/sync/lanes';
import { RefusedRows } from '@felucca/operator/sync/refused-rows';
import { Restorer } from '@felucca/operator/sync/restore';
import { RowSet } from '@felucca/operator/sync/rows';
import { SigningKeys } from '@felucca/operator/sync/signing-keys';
import { SyncMetrics } from '@felucca/operator/sync/sync-metrics';
import { TrustedKeys } from '@felucca/operator/sync/verify';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { SimulatedCluster } from './cluster.ts';
import { DATA_PLANE_ID, Database, SIGNING_KEYS } from './database.ts';

const KEY = 'acme/a';
const REF = objectRef('Instance', KEY);
const forged = (op: Op): Op => ({ ...op, sig: 'x'.repeat(86) });
const denied = (): Promise<never> => Promise.reject(new ClusterError(422, 'a webhook denies it'));

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** What the feed has done, with hold of each step: a lane's slots, the requests that fail, the order of the operations. */
class Stage {
  readonly database = new Database();
  /** What the control plane was told. */
  readonly told: string[] = [];
  /** From this request on, counted from now, none reaches the cluster. */
  failsFrom = Number.POSITIVE_INFINITY;
  readonly cluster = new SimulatedCluster({
    delayMs: () => 1,
    onRemove: () => {},
    fails: () => {
      this.failsFrom -= 1;
      return this.failsFrom < 1 ? 'before' : '';
    },
  });
  readonly lanes: Lanes;
  readonly applier: RowApplier;
  readonly context: SyncContext;
  private readonly end = new AbortController();
  private sent = 0n;

  constructor(slots = 16) {
    const tell = (what: string) => (item: { key: string; id?: string | undefined }) =>
      void this.told.push(`${what} ${item.id}`);
    const log = pino({ level: 'silent' });
    const metrics = new SyncMetrics(new Registry());
    const trust = new TrustedKeys(SIGNING_KEYS);
    const store = { read: async () => undefined, create: async () => true, update: async () => true };
    const outbox = {
      nack: tell('refused'),
      nackResolved: tell('no longer refused'),
      unknown: tell('unknown'),
      unknownGone: tell('unknown and gone'),
      deleted: tell('ended'),
      applied: tell('applied'),
      ending: () => {},
      wanted: () => {},
      drift: () => {},
    };
    this.context = {
      dataPlaneId: DATA_PLANE_ID,
      cluster: this.cluster.client(this.end.signal).cluster,
      rows: new RowSet(),
      blueprints: () => undefined,
      trust,
      signingKeys: new SigningKeys(trust, store, log),
      outbox,
      refused: new RefusedRows({
        outbox,
        metrics,
        emit: () => {},
        dataPlaneUid: () => '',
        onChange: () => {},
      }),
      emit: () => {},
      clock: { nowMs: () => Date.now(), date: () => new Date() },
      random: () => 0.5,
      metrics,
      log,
    };
    this.lanes = new Lanes(slots, (_, error) => this.told.push(`surprise ${String(error)}`));
    const deletions = new Deletions(
      this.context,
      () => ({ percent: 100, windowMs: 600_000 }),
      () => {},
    );
    const restorer = new Restorer(this.context, this.lanes, deletions, () => {});
    this.applier = new RowApplier(this.context, this.lanes, deletions, restorer);
    this.cluster.onEvent(({ type, object: { metadata, status } }) => {
      if (type === 'removed') restorer.vanished('Instance', KEY, status?.desired?.id, metadata.uid);
    });
  }

  order(size = 0): void {
    this.database.put('Instance', KEY, { parameters: { size } });
  }
  delete(): void {
    this.database.delete('Instance', KEY);
  }
  /** What has been committed since the last time. */
  get ops(): Op[] {
    const { rows, head } = this.database.delta(this.sent, 100);
    const frame = frameSchema.parse(
      JSON.parse(deltaLine({ from: this.sent, to: head.head, complete: true, rows })),
    );
    this.sent = head.head;
    return frame.type === 'delta' ? frame.ops : [];
  }
  /** The name is given to another: the end of its former owner, and the row of the next. */
  giveAnew(size = 1): { end: Op; next: Op } {
    this.delete();
    this.order(size);
    const { ops } = this;
    return { end: ops.find(({ op }) => op === 'del')!, next: ops.find(({ op }) => op === 'put')! };
  }
  /** Whether each is durable or was refused, as the cursor asks. */
  submit(ops: Op[], epoch = 'e1'): boolean[] {
    const passed = ops.map(() => false);
    for (const [index, op] of ops.entries())
      void this.applier.submit(op, epoch).then(() => (passed[index] = true));
    return passed;
  }
  /** Look and spec, and no stamp: the cluster answers no more, until it works. */
  async begin(ops: Op[]): Promise<void> {
    this.failsFrom = 3;
    this.submit(ops);
    await passes(1_000);
  }
  async works(): Promise<void> {
    this.failsFrom = Number.POSITIVE_INFINITY;
    await passes(60_000);
  }
  /** A snapshot does not name it. */
  withdraw(): void {
    const { rows } = this.context;
    this.applier.withdraw(() => true);
    if (rows.get('Instance', KEY)?.good) rows.leaveFeed('Instance', KEY);
    else rows.remove('Instance', KEY);
  }

  /** Nobody else gets a slot before this is called. */
  takeSlot(): () => void {
    let release = (): void => {};
    void this.lanes.submit('another', {
      run: () => new Promise((resolve) => (release = () => resolve('done'))),
    });
    return () => release();
  }
  get object() {
    return this.cluster.get('Instance', REF);
  }
  get owner(): string | undefined {
    return this.object?.status?.desired?.id;
  }
}
/** What was ordered first is there. */
async function withObject(): Promise<Stage> {
  const stage = new Stage();
  stage.order();
  stage.submit(stage.ops);
  await passes(1_000);
  return stage;
}
const passes = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

// Invariant L8.
test('a row that comes while one of before waits for a slot is applied, and so is the end between them', async () => {
  const stage = new Stage(1);
  const release = stage.takeSlot();
  stage.order();
  stage.submit(stage.ops);
  const { end, next } = stage.giveAnew();
  const passed = stage.submit([end, next]);
  await passes(10);
  expect(passed).toEqual([false, false]);
  release();
  await passes(1_000);
  expect(passed).toEqual([true, true]);
  expect(stage.owner).toBe('id-2');
  expect(stage.told).toEqual(['ended id-1', 'applied id-2']);
});

// Invariant L8.
test('a row that comes while a withdrawn one is seen off is applied', async () => {
  const stage = await withObject();
  const { end, next } = stage.giveAnew();
  stage.submit([next]);
  await passes(15_000);
  stage.submit([end], 'e2');
  stage.withdraw();
  await passes(1);
  stage.submit([next], 'e2');
  await passes(20_000);
  expect(stage.owner).toBe('id-2');
});

// Invariant L8.
test('the cursor does not pass the end of whoever has the name before it is carried out, as a row that waited leaves', async () => {
  const stage = await withObject();
  const { end, next } = stage.giveAnew();
  stage.submit([next]);
  await passes(15_000);
  stage.failsFrom = 1;
  stage.told.length = 0;
  const passed = stage.submit([end], 'e2');
  stage.withdraw();
  await passes(60_000);
  expect(passed).toEqual([false]);
  expect(stage.owner).toBe('id-1');
  await stage.works();
  expect(passed).toEqual([true]);
  expect(stage.object).toBeUndefined();
  expect(stage.told).toEqual(['no longer refused id-2', 'ended id-1']);
});

// Invariant L8, L18.
test('the end of the former owner is told although the row of the next one is rejected', async () => {
  const stage = new Stage();
  stage.order();
  const { end, next } = stage.giveAnew();
  stage.context.cluster.apply = denied;
  const passed = stage.submit([next, end]);
  await passes(1_000);
  expect(passed).toEqual([true, true]);
  expect([...new Set(stage.told)].sort()).toEqual(['ended id-1', 'refused id-2']);
});

// Invariant L9.
test('what is refused of a name that has a new owner stays told, also where both came at once', async () => {
  const stage = await withObject();
  const { end, next } = stage.giveAnew();
  stage.submit([next, end].map(forged));
  await passes(1_000);
  expect(stage.told.slice(1).sort()).toEqual(['refused id-1', 'refused id-2', 'unknown id-1']);
  expect(stage.context.refused.summary()).toMatch(/^2 rows/);
});

// Invariant L13.
test('what a withdrawn row had begun is finished and told, whatever comes of the name meanwhile', async () => {
  const stage = new Stage();
  stage.order();
  const { end, next } = stage.giveAnew();
  await stage.begin([next]);
  expect([stage.object?.metadata.annotations?.[ANNOTATIONS.id], stage.owner]).toEqual(['id-2', undefined]);
  stage.withdraw();
  await passes(100);
  stage.submit([end]);
  await passes(1_000);
  await stage.works();
  expect(stage.owner).toBe('id-2');
  expect(stage.told).toContain('unknown id-2');
});

// Invariant L14.
test('an annotation makes nobody the owner of what another row was written to', async () => {
  const stage = await withObject();
  const { next } = stage.giveAnew(9);
  stage.submit([next]);
  await passes(15_000);
  stage.cluster.annotate('Instance', REF, {
    [ANNOTATIONS.id]: next.id,
    [ANNOTATIONS.generation]: String(next.generation),
    [ANNOTATIONS.digest]: next.op === 'put' ? next.hash : '',
  });
  stage.withdraw();
  await passes(60_000);
  expect(stage.owner).toBe('id-1');
  expect(stage.object?.spec).toEqual({ parameters: { size: 0 } });
});

// Invariant L14, L24.
test('an end that nobody signed deletes nothing, when it comes while the next owner looks who has the name', async () => {
  const stage = await withObject();
  const { end, next } = stage.giveAnew();
  stage.submit([next]);
  await passes(1);
  stage.submit([forged(end)]);
  await passes(60_000);
  expect(stage.owner).toBe('id-1');
  expect(stage.cluster.removed).toEqual([]);
});

// Invariant L13.
test("what a row had begun is finished and told also when the name is another one's again, or a forged row takes its place", async () => {
  const restored = new Stage();
  restored.order();
  const [former] = restored.ops as [Op];
  const { next } = restored.giveAnew();
  await restored.begin([next]);
  restored.submit([former], 'e2');
  await restored.works();
  expect(restored.told).toContain('unknown id-2');

  const spoilt = new Stage();
  spoilt.order();
  await spoilt.begin(spoilt.ops);
  spoilt.withdraw();
  spoilt.order(5);
  spoilt.submit(spoilt.ops.map(forged));
  await spoilt.works();
  expect(spoilt.owner).toBe('id-1');
});

// Invariant L9.
test('a surprise about who has the name holds up no row that comes for it', async () => {
  const stage = new Stage();
  stage.order();
  await stage.begin(stage.ops);
  stage.withdraw();
  await passes(100);
  stage.failsFrom = Number.POSITIVE_INFINITY;
  stage.context.cluster.read = () => Promise.reject(new TypeError('a surprise'));
  const { next } = stage.giveAnew();
  const passed = stage.submit([next]);
  await passes(60_000);
  expect(passed).toEqual([true]);
  expect(stage.told).toContain('refused id-2');
});

// Invariant L14.
test('an owner that is wanted again while the end before it is at work is not deleted', async () => {
  const stage = new Stage();
  stage.order();
  const { end, next } = stage.giveAnew();
  stage.submit([next]);
  await passes(1_000);
  stage.delete();
  const [secondEnd] = stage.ops as [Op];
  stage.database.takeBack({ parameters: { size: 7 } });
  const [again] = stage.ops as [Op];
  const { cluster } = stage.context;
  const read = cluster.read.bind(cluster);
  const slow = async (...asked: Parameters<typeof read>) => {
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    return read(...asked);
  };
  cluster.read = slow;
  stage.submit([end, secondEnd]);
  await passes(1_000);
  stage.submit([again]);
  await passes(60_000);
  stage.delete();
  const [lastEnd] = stage.ops as [Op];
  stage.database.takeBack({ parameters: { size: 8 } });
  stage.submit([lastEnd]);
  // It has been read for the end by now, or is about to be.
  await passes(4_000);
  stage.submit(stage.ops);
  await passes(60_000);
  expect(stage.cluster.removed).toEqual([]);
  expect(stage.object?.spec).toEqual({ parameters: { size: 8 } });
});

// Invariant L18.
test('each owner of a name is told as ended, also when the one before it could not be seen to go', async () => {
  const stage = new Stage();
  stage.order();
  const first = stage.giveAnew();
  await stage.begin([first.next]);
  const second = stage.giveAnew();
  stage.submit([first.end, second.end]);
  await passes(1_000);
  stage.failsFrom = Number.POSITIVE_INFINITY;
  stage.submit([second.next]);
  await passes(60_000);
  expect(stage.owner).toBe('id-3');
  expect(stage.told).toContain('ended id-1');
  expect(stage.told).toContain('ended id-2');
});

// Invariant L8, L9.
test('an end that is denied holds up no other of its name', async () => {
  const stage = await withObject();
  const { end } = stage.giveAnew();
  stage.context.cluster.remove = denied;
  stage.submit([end]);
  await passes(1_000);
  stage.delete();
  const passed = stage.submit(stage.ops);
  await passes(500);
  expect(passed).toEqual([true]);
  expect(stage.told).toContain('ended id-2');
});

// Invariant L9.
test('what was refused of an owner that has ended is refused no longer', async () => {
  const stage = await withObject();
  const first = stage.giveAnew();
  stage.submit([first.next]);
  await passes(15_000);
  const second = stage.giveAnew();
  stage.submit([second.end, second.next]);
  await passes(30_000);
  stage.delete();
  stage.submit(stage.ops);
  await passes(30_000);
  expect(stage.context.refused.summary()).toBeUndefined();
});

// Invariant L31.
test('a data plane whose own row is refused keeps no row and no end of others in haste', async () => {
  const stage = await withObject();
  let applies = 0;
  stage.context.cluster.apply = () => {
    applies += 1;
    return denied();
  };
  const { end, next } = stage.giveAnew();
  stage.database.settings({ deletionBudgetPercent: 5 });
  stage.submit(stage.ops);
  stage.submit([next, end]);
  await passes(60_000);
  expect(applies).toBeLessThan(60);
  stage.delete();
  const passed = stage.submit(stage.ops);
  await passes(1_000);
  expect(passed).toEqual([true]);
});
