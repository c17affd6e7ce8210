import { API_VERSION, type Condition, type InstanceObject, type KubeObject } from '@felucca/contract';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ClusterError } from '../src/reconcilers/cluster.ts';
import { conditionOf, Driver } from './reconcile-driver.ts';

const namespace = 'tenant-acme';
const blueprint: KubeObject = {
  apiVersion: API_VERSION,
  kind: 'Blueprint',
  metadata: { name: 'note-1-0-0' },
  spec: {
    name: 'note',
    version: '1.0.0',
    parameters: { type: 'object', properties: { text: { type: 'string', maxLength: 40, default: '' } } },
    nodes: [
      { id: 'note', manifest: { apiVersion: 'v1', kind: 'ConfigMap', data: { text: '${params.text}' } } },
    ],
  },
} as KubeObject;
const note = (text: unknown) => ({ blueprintRef: { name: 'note', version: '1.0.0' }, parameters: { text } });

let driver: Driver;
let nowMs = 0;
let text = 0;
beforeAll(async () => {
  driver = await Driver.start('reconcilers-failures', 'bare');
  driver.failureMs = () => nowMs;
  await driver.prepare('acme', blueprint);
});
afterAll(() => driver?.stop());
beforeEach(() => driver.restart());
afterEach(restore);

const step = (name: string) => driver.step(namespace, name).catch((error: Error) => error);
const edit = (name: string) => driver.patch(namespace, name, note(`${++text}`));
const config = (name: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', namespace, name: `${name}-note` });
const conditionsOf = async (name: string): Promise<Condition[]> =>
  (await driver.instance(namespace, name))?.status?.conditions ?? [];

/** How an Instance came to say something; each in its own way, on a real API server. */
const EARLIER: Record<string, (name: string) => Promise<unknown>> = {
  new: async () => undefined,
  ready: (name) => driver.ready(namespace, name),
  'wrong-parameters': async (name) => {
    await driver.patch(namespace, name, note(7));
    await step(name);
  },
  'no-blueprint': async (name) => {
    await driver.patch(namespace, name, { blueprintRef: { name: 'note', version: '9.9.9' } });
    await step(name);
    await driver.patch(namespace, name, note(''));
  },
  'name-taken': async (name) => {
    const { apiVersion, kind, ...metadata } = config(name);
    await driver.apply({ apiVersion, kind, metadata });
    await step(name);
  },
  drifted: async (name) => {
    await driver.ready(namespace, name);
    await driver.api.mergePatch(config(name), { data: { text: 'mine' } }, 'somebody');
    await step(name);
  },
  refused: async (name) => {
    await failing(new ClusterError(403, 'an earlier refusal'), () => step(name));
  },
};

/** Every request about the child fails. */
async function failing<T>(error: Error, act: () => Promise<T>): Promise<T> {
  driver.api.beforeRead = driver.api.beforeWrite = (what) => {
    if (what.includes('/configmaps/')) throw error;
  };
  try {
    return await act();
  } finally {
    restore();
  }
}
function restore(): void {
  driver.api.beforeRead = driver.api.beforeWrite = () => undefined;
}

const FAILURES: Record<string, Error> = Object.fromEntries(
  [0, 403, 404, 409, 422, 429, 500, 503]
    .map((status) => [`HTTP ${status}`, new ClusterError(status, `fault ${status}`)] as [string, Error])
    .concat([['a mistake', new TypeError('fault: x is undefined')]]),
);
/** Of a failure that may pass, the first is not told: this long after, it is. */
const LASTED_MS = 11_000;

describe.each(Object.keys(EARLIER))('an Instance that was %s', (earlier) => {
  beforeAll(async () => {
    await driver.order(namespace, earlier, note(''));
    await EARLIER[earlier]!(earlier);
  });

  test.each(Object.keys(FAILURES))(
    'tells of %s when it fails so, once, and of nothing before',
    async (how) => {
      const before = (await conditionsOf(earlier)).filter(({ type }) => type !== 'Synced');
      await edit(earlier);
      driver.events.length = 0;
      await failing(FAILURES[how]!, async () => {
        await step(earlier);
        nowMs += LASTED_MS;
        await step(earlier);
        const after = await conditionsOf(earlier);
        const texts = after.map(({ message }) => message);
        expect(before.filter(({ message }) => texts.includes(message))).toEqual([]);
        expect(conditionOf(await driver.instance(namespace, earlier), 'Ready')).toMatchObject({
          status: 'False',
          message: expect.stringMatching(/fault|exists and is not ours/),
        });
        const generation = (await driver.instance(namespace, earlier))?.metadata.generation;
        expect(after.filter(({ observedGeneration }) => observedGeneration !== generation)).toEqual([]);
        expect(driver.events.length).toBeLessThanOrEqual(1);
        driver.events.length = 0;
        driver.api.writes.length = 0;
        for (let i = 0; i < 3; i += 1) {
          nowMs += 2 * 60_000;
          await step(earlier);
        }
        expect(driver.api.writes.filter((what) => what.includes('/instances/'))).toEqual([]);
        expect(driver.events).toEqual([]);
      });
    },
  );
});

test('a request that has to be repeated leaves a ready Instance ready, and is told only when it lasts', async () => {
  await driver.order(namespace, 'steady', note('a'));
  await driver.ready(namespace, 'steady');
  const before = await conditionsOf('steady');
  await driver.api.remove(
    config('steady'),
    (await driver.api.read(config('steady')))!.metadata.uid!,
    'Background',
  );
  driver.events.length = 0;
  await failing(new ClusterError(503, 'overloaded'), async () => {
    expect(await step('steady')).toMatchObject({ kind: 'retry' });
    expect(await conditionsOf('steady')).toEqual(before);
    nowMs += LASTED_MS;
    await step('steady');
    const lasting = await driver.instance(namespace, 'steady');
    expect(conditionOf(lasting, 'Ready')).toMatchObject({ status: 'True', reason: 'AllChildrenReady' });
    expect(conditionOf(lasting, 'Reconciling')).toMatchObject({
      reason: 'ApiError',
      message: expect.stringMatching(/overloaded/),
    });
    expect(driver.events).toEqual(['steady ApiError: overloaded; it is retried']);
  });
  driver.events.length = 0;
  await driver.ready(namespace, 'steady');
  await step('steady');
  expect(conditionOf(await driver.instance(namespace, 'steady'), 'Reconciling')).toBeUndefined();
  expect(driver.events.filter((event) => /AllChildrenReady/.test(event))).toHaveLength(1);
});

test('a status that the API server refuses does not hide that it does', async () => {
  await driver.order(namespace, 'refused-status', note('a'));
  let refusals = 1;
  driver.api.beforeWrite = (what) => {
    if (what.endsWith('/refused-status/status') && refusals-- > 0) throw new ClusterError(422, 'too long');
  };
  await step('refused-status');
  expect(conditionOf(await driver.instance(namespace, 'refused-status'), 'Ready')).toMatchObject({
    reason: 'ApiError',
    message: 'too long; it is retried',
  });
});

describe('a deletion', () => {
  const end = async (name: string): Promise<InstanceObject | undefined> => {
    await driver.cluster.kubectl(['delete', 'instance', name, '-n', namespace, '--wait=false']);
    return driver.instance(namespace, name);
  };

  test.each(Object.keys(FAILURES))('that fails with %s says so, and not that all is well', async (how) => {
    const name = `end-${how.toLowerCase().replace(' ', '-')}`;
    await driver.order(namespace, name, note('a'));
    await driver.ready(namespace, name);
    await end(name);
    driver.events.length = 0;
    await failing(FAILURES[how]!, async () => {
      await step(name);
      nowMs += LASTED_MS;
      await step(name);
      const ready = conditionOf(await driver.instance(namespace, name), 'Ready');
      expect(ready).toMatchObject({ status: 'False', message: expect.stringMatching(/fault/) });
      expect(driver.events).toHaveLength(1);
      driver.api.writes.length = 0;
      await step(name);
      expect(driver.api.writes).toEqual([]);
      expect(driver.events).toHaveLength(1);
    });
    await step(name);
    await step(name);
    expect(await driver.instance(namespace, name)).toBeUndefined();
  });
});

describe('a Tenant', () => {
  const tenant = (name: string) => driver.api.read({ apiVersion: API_VERSION, kind: 'Tenant', name });
  const act = (name: string) => driver.tenant(name).catch((error: Error) => error);
  const broken = async (error: Error, what: RegExp, run: () => Promise<void>): Promise<void> => {
    driver.api.beforeRead = driver.api.beforeWrite = (request) => {
      if (what.test(request)) throw error;
    };
    await run();
    restore();
  };

  test.each(Object.keys(FAILURES))('that fails with %s says so once', async (how) => {
    const name = `t-${how.toLowerCase().replace(' ', '-')}`;
    await driver.apply({ apiVersion: API_VERSION, kind: 'Tenant', metadata: { name }, spec: {} });
    driver.events.length = 0;
    await broken(FAILURES[how]!, /\/namespaces\/tenant-[^/]*$/, async () => {
      await act(name);
      nowMs += LASTED_MS;
      await act(name);
      expect(conditionOf(await tenant(name), 'Ready')).toMatchObject({
        status: 'False',
        message: expect.stringMatching(/fault/),
      });
      driver.api.writes.length = 0;
      await act(name);
      expect(driver.api.writes).toEqual([]);
      expect(driver.events).toHaveLength(1);
    });
    await act(name);
    expect(conditionOf(await tenant(name), 'Ready')).toMatchObject({ status: 'True' });
    expect(conditionOf(await tenant(name), 'Reconciling')).toBeUndefined();
    expect(driver.events).toHaveLength(2);
  });

  test('that is ready stays so, and tells of a failure that lasts beside it', async () => {
    await driver.cluster.kubectl(['delete', 'limitrange', '--all', '-n', namespace]);
    await broken(new ClusterError(500, 'etcd is slow'), /limitranges/, async () => {
      await act('acme');
      nowMs += LASTED_MS;
      await act('acme');
      expect(conditionOf(await tenant('acme'), 'Ready')).toMatchObject({ status: 'True' });
      expect(conditionOf(await tenant('acme'), 'Reconciling')).toMatchObject({
        message: expect.stringMatching(/etcd is slow/),
      });
    });
    await act('acme');
    expect(conditionOf(await tenant('acme'), 'Reconciling')).toBeUndefined();
  });

  test('whose deletion fails says so', async () => {
    await driver.prepare('leaving');
    await driver.cluster.kubectl(['delete', 'tenant', 'leaving', '--wait=false']);
    await broken(new ClusterError(403, 'fault'), /\/namespaces\/tenant-leaving$/, async () => {
      await act('leaving');
      expect(conditionOf(await tenant('leaving'), 'Ready')).toMatchObject({
        reason: 'ApiError',
        message: expect.stringMatching(/fault/),
      });
    });
  });
});
