import type { KubeObject } from '@felucca/contract';
import { type Cluster, startCluster } from '@felucca/dev';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { GVR } from '../src/runtime/index.ts';
import { configMap, openSession, type Session, series, until, watch } from './runtime/session.ts';
import { TcpProxy } from './runtime/tcp-proxy.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster({ name: `runtime-watch-${process.pid}`, provider: 'bare' });
});
afterAll(() => cluster?.stop());

type ConfigMap = KubeObject & { data?: Record<string, string> };
let run = 0;
/** Every test watches a set of its own. */
function labelled(): { selector: string; make: (name: string, data?: Record<string, string>) => KubeObject } {
  const set = `s${++run}`;
  return {
    selector: `set=${set}`,
    make: (name, data = {}) => {
      const object = configMap(`${set}-${name}`, data);
      object.metadata.labels = { set };
      return object;
    },
  };
}
async function proxied(): Promise<{ proxy: TcpProxy; session: Session }> {
  const proxy = await TcpProxy.start(cluster.server);
  onTestFinished(() => proxy.stop());
  return {
    proxy,
    session: openSession(cluster, { server: proxy.url, pingIntervalMs: 300, pingTimeoutMs: 500 }),
  };
}
const put = (session: Session, object: KubeObject): Promise<KubeObject> =>
  session.client.apply(GVR.ConfigMap, 'default', object.metadata.name, object, { fieldManager: 'test' });
const remove = async (session: Session, object: KubeObject): Promise<void> => {
  const live = await session.client.get(GVR.ConfigMap, 'default', object.metadata.name);
  await session.client.delete(GVR.ConfigMap, 'default', object.metadata.name, { uid: live!.metadata.uid! });
};
const wait = (what: string, done: () => boolean, timeoutMs = 10_000): Promise<void> =>
  until(what, () => expect(done()).toBe(true), timeoutMs);

for (const watchList of [true, false]) {
  const how = watchList ? 'a streamed list' : 'a paged list';
  test(`after ${how} the store has what was there, and sees create, update and delete`, async () => {
    const session = openSession(cluster);
    const { selector, make } = labelled();
    await put(session, make('old', { v: '1' }));
    const { reflector, events } = watch<ConfigMap>(session, {
      gvr: GVR.ConfigMap,
      labelSelector: selector,
      watchList,
    });
    await reflector.store.synced;
    expect(events.map(({ type, initial }) => [type, initial])).toEqual([['added', true]]);
    const [old] = reflector.store.list();
    expect(old).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap', data: { v: '1' } });
    expect((old!.metadata as { managedFields?: unknown }).managedFields).toBeUndefined();

    await put(session, make('new', { v: '1' }));
    await put(session, make('new', { v: '2' }));
    await remove(session, make('new'));
    await wait('the deletion', () => events.at(-1)?.type === 'deleted');
    expect(
      events
        .slice(1)
        .map(({ type, object, before, initial }) => [type, object.data?.['v'], before?.data?.['v'], initial]),
    ).toEqual([
      ['added', '1', undefined, false],
      ['updated', '2', '1', false],
      ['deleted', '2', '2', false],
    ]);
    expect(reflector.store.size).toBe(1);
  });
}

test('a list of several pages is complete', async () => {
  const session = openSession(cluster);
  const { selector, make } = labelled();
  await Promise.all(Array.from({ length: 25 }, (_, n) => put(session, make(`n${n}`))));
  expect(
    await session.client.list(GVR.ConfigMap, 'default', { labelSelector: selector, limit: 10 }),
  ).toHaveLength(25);
});

test('objects are found by index, and only where they are now', async () => {
  const session = openSession(cluster);
  const { selector, make } = labelled();
  const { reflector } = watch<ConfigMap>(session, {
    gvr: GVR.ConfigMap,
    labelSelector: selector,
    indexers: { owner: (object) => (object.data?.['owner'] ? [object.data['owner']] : []) },
  });
  await reflector.store.synced;
  await put(session, make('child', { owner: 'a' }));
  await wait('the child under a', () => reflector.store.by('owner', 'a').length === 1);
  await put(session, make('child', { owner: 'b' }));
  await wait('the child under b', () => reflector.store.by('owner', 'b').length === 1);
  expect(reflector.store.by('owner', 'a')).toEqual([]);
  expect(() => reflector.store.by('colour', 'red')).toThrow(/no index "colour"/);
});

test('a cut connection loses no event, and repeats none', async () => {
  const { proxy, session } = await proxied();
  const direct = openSession(cluster);
  const { selector, make } = labelled();
  const { reflector, events } = watch<ConfigMap>(session, { gvr: GVR.ConfigMap, labelSelector: selector });
  await reflector.store.synced;
  await put(direct, make('kept'));
  await put(direct, make('lost'));
  await wait('both', () => reflector.store.size === 2);
  proxy.refuse(true);
  await put(direct, make('born'));
  await remove(direct, make('lost'));
  proxy.refuse(false);
  await wait('the deletion during the cut', () => events.some(({ type }) => type === 'deleted'), 20_000);
  await wait('the creation during the cut', () => events.some(({ key }) => key.endsWith('-born')));
  expect(events.map(({ type, key }) => `${type} ${key.split('-').at(-1)}`).sort()).toEqual([
    'added born',
    'added kept',
    'added lost',
    'deleted lost',
  ]);
});

test('a connection that is open but dead is noticed by PING and replaced', async () => {
  const { proxy, session } = await proxied();
  const direct = openSession(cluster);
  const { selector, make } = labelled();
  const { reflector } = watch<ConfigMap>(session, { gvr: GVR.ConfigMap, labelSelector: selector });
  await reflector.store.synced;
  const before = proxy.accepted;
  proxy.freeze();
  await put(direct, make('unseen'));
  await wait('the dead connection to be dropped', () => proxy.open === 0, 5_000);
  proxy.thaw();
  await wait('the object', () => reflector.store.size === 1, 20_000);
  expect(proxy.accepted).toBeGreaterThan(before);
});

test('a watch on which nothing is said is dead, even when the connection answers', async () => {
  const session = openSession(cluster);
  const { selector, make } = labelled();
  // No event and no bookmark within this: from here it looks like a watch cache that hangs.
  const { reflector } = watch<ConfigMap>(session, {
    gvr: GVR.ConfigMap,
    labelSelector: selector,
    silentMs: 300,
  });
  await reflector.store.synced;
  await until('a restart for silence', async () => {
    expect((await series(session, 'felucca_watch_restarts_total')).join()).toMatch(/reason="silent"/);
  });
  await put(session, make('later'));
  await wait('the object', () => reflector.store.size === 1, 20_000);
});

test('a killed API server: the store catches up, also when the old version is gone (410)', async () => {
  const { proxy, session } = await proxied();
  const { selector, make } = labelled();
  const direct = openSession(cluster);
  const { reflector, events } = watch<ConfigMap>(session, { gvr: GVR.ConfigMap, labelSelector: selector });
  await reflector.store.synced;
  await put(direct, make('kept', { v: '1' }));
  await put(direct, make('lost'));
  await wait('both', () => reflector.store.size === 2);
  proxy.refuse(true);
  await put(direct, make('kept', { v: '2' }));
  await remove(direct, make('lost'));
  await put(direct, make('born'));
  const apiServer = cluster.processes['kube-apiserver']!;
  await apiServer.kill();
  await apiServer.restart();
  // A fresh watch cache knows nothing of before its start.
  await until('the API server', () => cluster.kubectl(['get', '--raw', '/readyz']), 30_000);
  proxy.refuse(false);
  await wait('the deletion', () => events.some(({ type }) => type === 'deleted'), 40_000);
  await wait('the rest', () => reflector.store.size === 2);
  expect(reflector.store.list().map(({ data }) => data?.['v'])).toContain('2');
  expect(events.filter(({ type }) => type === 'deleted')).toHaveLength(1);
  expect((await series(session, 'felucca_watch_restarts_total')).join()).toMatch(/reason="expired"/);
});
