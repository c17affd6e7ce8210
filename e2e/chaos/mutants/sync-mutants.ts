import { type Mutant, real, unit } from './mutant.ts';

const SYNC = 'operator/src/sync';
const MACHINE = `${SYNC}/feed-state.ts`;
const MACHINE_TEST = `${SYNC}/feed-state.test.ts`;

/** Mistakes in what is believed of the control plane. */
export const SYNC_MUTANTS: readonly Mutant[] = [
  {
    name: 'unsigned-row-accepted',
    file: `${SYNC}/verify.ts`,
    find: 'return valid ? { ok: true } : invalid(',
    replace: 'return valid || kid ? { ok: true } : invalid(',
    breaks: 'only what the control plane signed reaches the cluster (I4)',
    caughtBy: unit(`${SYNC}/verify.test.ts`),
  },
  {
    name: 'content-not-compared-with-its-digest',
    file: `${SYNC}/verify.ts`,
    find: "if (op.op === 'put' && digestOf(op.spec) !== op.hash)",
    replace: "if (op.op === 'put' && digestOf(op.spec) === '')",
    breaks: 'the signature covers the content (I4)',
    caughtBy: unit(`${SYNC}/verify.test.ts`),
  },
  {
    name: 'lower-generation-accepted',
    file: `${SYNC}/rows.ts`,
    find: "if (entry.good?.id === op.id && op.generation < entry.good.generation) return 'generation';\n  ",
    replace: '',
    breaks: 'the applied generation of an object never goes down (I2)',
    caughtBy: unit(`${SYNC}/rows.test.ts`),
  },
  {
    name: 'older-revision-accepted',
    file: `${SYNC}/rows.ts`,
    find: "if (BigInt(op.rev) < BigInt(entry.seenRev)) return 'stale';\n  ",
    replace: '',
    breaks: 'what was sent before does not come after (I2)',
    caughtBy: unit(`${SYNC}/rows.test.ts`),
  },
  {
    name: 'no-deletion-budget',
    file: `${SYNC}/deletion-budget.ts`,
    find: 'if (current.length >= limit) return { allowed: false, window: current, limit };',
    replace: 'if (current.length >= limit * 1_000_000) return { allowed: false, window: current, limit };',
    breaks: 'a mass deletion waits for a person (I3)',
    caughtBy: unit(`${SYNC}/deletion-budget.test.ts`),
  },
  {
    name: 'budget-that-never-closes',
    file: `${SYNC}/deletion-budget.ts`,
    find: 'return { allowed: true, window: [...current, { id, atMs: nowMs }], limit };',
    replace: 'return { allowed: true, window: current, limit };',
    breaks: 'each deletion takes its place in the window (I3)',
    caughtBy: unit(`${SYNC}/deletion-budget.test.ts`),
  },
  {
    name: 'cursor-before-the-last-page',
    file: MACHINE,
    find: 'if (!last) return { state: { ...state, arrived: { at, page } }, effects };',
    replace:
      'if (!last) return { state: { ...state, memory: { ...memory, cursor: at }, arrived: { at, page } }, effects };',
    breaks: 'the cursor moves when a snapshot is complete (I1)',
    caughtBy: unit(MACHINE_TEST),
  },
  {
    name: 'gap-ignored',
    file: MACHINE,
    find: 'if (frame.from !== memory.cursor)',
    replace: 'if (BigInt(frame.from) < 0n)',
    breaks: 'a revision that is missing is noticed (I1)',
    caughtBy: unit(MACHINE_TEST),
  },
  {
    name: 'repeated-delta-taken-again',
    file: MACHINE,
    find: 'if (BigInt(frame.to) <= BigInt(memory.cursor)) return { state, effects: [watchdog] };\n  ',
    replace: '',
    breaks: 'what is delivered twice is taken once, and the cursor never goes back (I2)',
    caughtBy: unit(MACHINE_TEST),
  },
  {
    name: 'feed-of-another-data-plane',
    file: MACHINE,
    find: 'if (frame.dataPlaneId !== memory.dataPlaneId)',
    replace: "if (frame.dataPlaneId === '')",
    breaks: 'a data plane takes no orders that are for another one (I4)',
    caughtBy: unit(MACHINE_TEST),
  },
  {
    name: 'absence-deletes',
    file: `${SYNC}/feed-sink.ts`,
    find: '      outbox.unknown(entry.kind, entry.key, entry.good.id);',
    replace:
      '      outbox.unknown(entry.kind, entry.key, entry.good.id);\n      void this.deletions.execute({ ...entry.good, kind: entry.kind, key: entry.key }, true);',
    breaks: 'absence never deletes (I3)',
    caughtBy: real('operator/test/sync.test.ts', 'keeps and reports what a snapshot does not name'),
  },
  {
    name: 'tombstone-of-another-id-deletes',
    file: `${SYNC}/deletions.ts`,
    find: "    if (owner !== id) return 'otherId';\n",
    replace: '',
    breaks: 'a tombstone deletes the object whose id it names (I3)',
    caughtBy: real('operator/test/sync.test.ts', 'deletes only by a tombstone that names the id'),
  },
  {
    name: 'new-epoch-may-delete',
    file: `${SYNC}/feed-sink.ts`,
    find: 'if (this.context.rows.count > 0) this.deletions.disarm();',
    replace: 'if (this.context.rows.count < 0) this.deletions.disarm();',
    breaks: 'a restored database deletes nothing before both sides have compared (I3)',
    caughtBy: real('operator/test/sync-faults.test.ts'),
  },
  {
    name: 'any-cache-is-fresh-enough-for-a-leader',
    file: 'operator/src/runtime/reflector.ts',
    find: 'if (this.#listedMs >= sinceMs) return;',
    replace: 'if (this.#listedMs >= 0) return;',
    breaks: 'a new leader knows all that the one before it wrote (I2)',
    caughtBy: unit('operator/src/runtime/reflector.test.ts'),
  },
  {
    name: 'free-since-it-was-found-although-it-was-held-since',
    file: 'operator/src/runtime/leader-election.ts',
    find: 'const isAsFound = found?.lease.metadata.resourceVersion === lease.metadata.resourceVersion;',
    replace: 'const isAsFound = found !== undefined;',
    breaks: 'a new leader knows all that the one before it wrote (I2)',
    caughtBy: unit('operator/src/runtime/leader-terms.test.ts'),
  },
];
