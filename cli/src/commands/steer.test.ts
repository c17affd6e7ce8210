import type { InstanceObject } from '@felucca/contract';
import { describe, expect, test } from 'vitest';
import type { InstanceFacts } from '../facts/instance.ts';
import type { Lease } from '../facts/platform.ts';
import { seenValue } from '../kube/errors.ts';
import { paintFor } from '../show/paint.ts';
import { condition, healthy, NOW } from '../why/facts-fixture.ts';
import type { Context } from './context.ts';
import { reconcileCommand } from './reconcile.ts';
import { statusAnswer } from './status.ts';
import { suspendCommand } from './suspend.ts';

const FLAGS = { wait: true, timeout: '60s' };
type Modifier = (facts: InstanceFacts) => void;
const goes: Modifier = ({ instance }) => (instance.metadata.deletionTimestamp = '2026-01-01T00:59:00Z');
const lease = ({ platform }: InstanceFacts): Lease => seenValue(platform.leases[0]!)!;
const stopped: Modifier = (facts) =>
  (lease(facts).spec = { holderIdentity: '', renewTime: '2026-01-01T00:50:00Z' });

/** A terminal before a cluster with this Instance; whoever waits there waits in vain. */
function stage(...modifiers: Modifier[]) {
  const facts = healthy(...modifiers);
  const { instance } = facts;
  const seen = { said: '', waitedMs: 0, patches: [] as object[] };
  const kube = {
    get: async (kind: string) => (kind === 'Instance' ? instance : undefined),
    list: async () => [lease(facts)],
    patch: async (
      _kind: string,
      _namespace: string,
      _name: string,
      patch: object,
    ): Promise<InstanceObject> => {
      seen.patches.push(patch);
      return instance;
    },
  };
  const say = (text: string): void => {
    seen.said += text;
  };
  const sleep = async (ms: number): Promise<void> => {
    seen.waitedMs += ms;
  };
  const terminal = { out: say, say, sleep, now: () => NOW };
  const context = {
    kube,
    terminal,
    namespace: 'tenant-acme',
    format: 'table',
    operatorNamespace: 'felucca-system',
    program: 'felucca',
  } as unknown as Context;
  return { context, seen };
}
const commands = {
  reconcile: (context: Context) => reconcileCommand(context, 'db', FLAGS),
  suspend: (context: Context) => suspendCommand(context, 'db', true, FLAGS),
  resume: (context: Context) => suspendCommand(context, 'db', false, FLAGS),
};

describe('an Instance that is being deleted', () => {
  test.each(Object.entries(commands))('is not waited for by %s, which says so', async (_, command) => {
    const { context, seen } = stage(goes);
    expect(await command(context)).toBe(1);
    expect(seen.said).toMatch(
      /^Error: Instance tenant-acme\/db is being deleted, for 60s now\n {2}felucca why db -n tenant-acme tells/,
    );
    expect([seen.waitedMs, seen.patches]).toEqual([0, []]);
  });

  test('is not waited for when that begins meanwhile', async () => {
    const { context, seen } = stage();
    const sleep = context.terminal.sleep;
    context.terminal.sleep = async (ms) => {
      await sleep(ms);
      const instance = await context.kube.get<InstanceObject>('Instance', '', '');
      instance!.metadata.deletionTimestamp = '2026-01-01T01:00:00Z';
    };
    expect(await commands.reconcile(context)).toBe(1);
    expect(seen.said).toMatch(/is being deleted/);
    expect(seen.waitedMs).toBeLessThan(1_000);
  });
});

describe('without an operator', () => {
  test.each(['reconcile', 'suspend'] as const)(
    '%s asks for it, and says at once that nobody will',
    async (name) => {
      const { context, seen } = stage(stopped);
      expect(await commands[name](context)).toBe(1);
      expect(seen.said).toMatch(/^Error: no operator leads: the last one stopped 10m ago\n.*start it again/);
      expect(seen.patches).toHaveLength(1);
      expect(seen.waitedMs).toBe(0);
    },
  );

  const status = (...modifiers: Modifier[]) =>
    statusAnswer(healthy(...modifiers).platform, [], paintFor(false), NOW).text(false);
  const broken: Modifier = ({ platform }) =>
    (seenValue(platform.dataPlane)!.status!.conditions = [
      condition('FeedConnected', 'False', 'Disconnected', 'no'),
    ]);

  test('status tells of the link only what is last known, and since when', () => {
    expect(status()).toMatch(/^Link +connected for 10m, epoch/m);
    expect(status(stopped)).toMatch(/^Link +last known: connected, told 10m ago, epoch/m);
    expect(status(broken)).toMatch(/^Link +Disconnected for 10m: no/m);
    expect(status(stopped, broken)).toMatch(/^Link +last known: Disconnected, told 10m ago: no/m);
  });
});
