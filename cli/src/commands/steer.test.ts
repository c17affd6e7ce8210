import type { InstanceObject } from '@felucca/contract';
import { describe, expect, test } from 'vitest';
import type { InstanceFacts } from '../facts/instance.ts';
import type { Lease } from '../facts/platform.ts';
import { seenValue } from '../kube/errors.ts';
import { paintFor } from '../show/paint.ts';
import { condition, controlled, healthy, held, NOW, notReady } from '../why/facts-fixture.ts';
import type { Context } from './context.ts';
import { orphanCommand } from './orphan.ts';
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
      const { spec } = patch as Pick<InstanceObject, 'spec'>;
      if (spec) instance.metadata.generation! += 1;
      Object.assign(instance.spec!, spec);
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

/** What becomes of the Instance while somebody waits. */
function meanwhile(context: Context, happens: (instance: InstanceObject) => void): void {
  const { sleep } = context.terminal;
  context.terminal.sleep = async (ms) => {
    await sleep(ms);
    happens((await context.kube.get<InstanceObject>('Instance', '', ''))!);
  };
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
    meanwhile(context, ({ metadata }) => (metadata.deletionTimestamp = '2026-01-01T01:00:00Z'));
    expect(await commands.reconcile(context)).toBe(1);
    expect(seen.said).toMatch(/is being deleted/);
    expect(seen.waitedMs).toBeLessThan(1_000);
  });
});

describe('an Instance whose deletion is held', () => {
  test.each([
    ['suspend', (context: Context) => suspendCommand(context, 'db', true, FLAGS)],
    ['orphan', (context: Context) => orphanCommand(context, 'db', { yes: true })],
  ])('knows no request to %s it, and that is said', async (_, command) => {
    const { context, seen } = stage(controlled, held);
    expect(await command(context)).toBe(1);
    expect(seen.said).toMatch(
      /^Error: Instance tenant-acme\/db is to be deleted: the control plane has deleted it, .*\n {2}felucca why db -n tenant-acme tells/,
    );
    expect(seen.patches).toEqual([]);
  });

  test('is reconciled, and is not well', async () => {
    const { context, seen } = stage(controlled, held);
    meanwhile(context, ({ status }) => {
      status!.lastHandledReconcileAt = NOW.toISOString();
    });
    expect(await commands.reconcile(context)).toBe(1);
    expect(seen.said).toMatch(
      /db is reconciled: DeletionHeld: .*\n {2}felucca why db -n tenant-acme tells more\n$/,
    );
  });

  test('is what status shows first, and why', () => {
    const { platform, instance } = healthy(controlled, held);
    const broken = healthy(notReady('ChildFailed'), ({ instance: { metadata } }) => (metadata.name = 'a'));
    const text = statusAnswer(platform, [broken.instance, instance], paintFor(false), NOW).text(false);
    expect(text).toMatch(/^2 Instances: 1 held, 1 failed$/m);
    expect(text).toMatch(/tenant-acme +db +.* True +DeletionHeld .* the deletion is held.*\n.* a +/);
  });
});

describe('a wait', () => {
  const stalled = condition('Stalled', 'True', 'ParametersInvalid', '/size must be one of "small"');
  const looked = (instance: InstanceObject, ...conditions: (typeof stalled)[]): void => {
    instance.status = { observedGeneration: instance.metadata.generation!, conditions };
  };

  test('ends as soon as the operator says that it cannot be', async () => {
    const { context, seen } = stage();
    meanwhile(context, (instance) => {
      looked(instance, stalled, condition('Ready', 'False', 'ParametersInvalid'));
    });
    expect(await commands.suspend(context)).toBe(1);
    expect(seen.said).toMatch(
      /\nError: waiting does not help: ParametersInvalid: \/size must be one of "small"\n {2}felucca why db -n tenant-acme tells what to do\n$/,
    );
    expect(seen.waitedMs).toBeLessThan(1_000);
  });

  test('does not end for what was said before it began', async () => {
    const { context, seen } = stage(({ instance }) => instance.status!.conditions!.push(stalled));
    meanwhile(context, (instance) => looked(instance, condition('Ready', 'False', 'Suspended', 'sleeps')));
    expect(await commands.suspend(context)).toBe(0);
    expect(seen.said).toBe(
      'waiting: the operator has not looked yet\nInstance tenant-acme/db is suspended: Suspended: sleeps\n',
    );
  });

  test.each(['reconcile', 'suspend'] as const)('of %s that was too short names why', async (name) => {
    const { context, seen } = stage();
    expect(await commands[name](context)).toBe(1);
    expect(seen.said).toBe(
      'waiting: the operator has not looked yet\nError: not within 60s\n  felucca why db -n tenant-acme tells what it waits for\n',
    );
  });

  test('is not begun for what is so already', async () => {
    const { context, seen } = stage();
    expect(await commands.resume(context)).toBe(0);
    expect(seen.said).toBe('Instance tenant-acme/db is not suspended\n');
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

  const synced: Modifier = ({ platform }) =>
    Object.assign(seenValue(platform.dataPlane)!.status!, { epoch: 'e', dataPlaneId: 'd' });

  test('status tells of the link only what is last known, and since when', () => {
    expect(status(synced)).toMatch(/^Link +connected for 10m, epoch e, revision 12, data plane d$/m);
    expect(status(stopped)).toMatch(/^Link +last known: connected, told 10m ago, revision 12$/m);
    expect(status(broken)).toMatch(/^Link +Disconnected for 10m: no/m);
    expect(status(stopped, broken)).toMatch(/^Link +last known: Disconnected, told 10m ago: no/m);
  });
});
