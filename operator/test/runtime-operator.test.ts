import { type ResourceEvent, ResourceEventType } from '@dot-i/k8s-operator';
import { type Cluster, startCluster } from '@felucca/dev';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { FeluccaOperator } from '../src/operator.ts';
import { GVR } from '../src/runtime/index.ts';
import { configMap, log, openSession, type Session, until } from './runtime/session.ts';
import { TcpProxy } from './runtime/tcp-proxy.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster({ name: `runtime-operator-${process.pid}`, provider: 'bare' });
});
afterAll(() => cluster?.stop());

/** An operator as its users write them. The event after the one that adds the finalizer is the first it handles. */
class Sample extends FeluccaOperator {
  readonly seen: string[] = [];
  readonly cleaned: string[] = [];
  failures = 0;

  protected override async init(): Promise<void> {
    await super.init();
    await this.watchResource('', 'v1', 'configmaps', (event) => this.#handle(event), 'default');
  }

  async #handle(event: ResourceEvent): Promise<void> {
    if (!event.meta.name.startsWith('sample')) return;
    if (this.failures > 0) {
      this.failures--;
      throw new Error('not today');
    }
    if (event.type !== ResourceEventType.Deleted) {
      const cleanUp = async (): Promise<void> => void this.cleaned.push(event.meta.name);
      if (await this.handleResourceFinalizer(event, 'felucca.dev/sample', cleanUp)) return;
    }
    this.seen.push(`${event.type} ${event.meta.name}`);
  }
}

async function start(session: Session): Promise<Sample> {
  const { client, metrics } = session;
  const nothing = async (): Promise<void> => undefined;
  const operator = new Sample(
    { client, metrics, server: cluster.server, start: nothing, stop: nothing },
    log,
  );
  await operator.start();
  onTestFinished(() => operator.stop());
  return operator;
}

test('handlers see objects come, change and go; the finalizer runs; stop() ends without ending the process', async () => {
  const session = openSession(cluster);
  const operator = await start(session);
  const { client } = session;
  const created = await client.create(GVR.ConfigMap, 'default', configMap('sample'));
  await until('the creation', () => expect(operator.seen).toContain('MODIFIED sample'));
  await client.delete(GVR.ConfigMap, 'default', 'sample', { uid: created.metadata.uid! });
  await until('the deletion', () => expect(operator.seen.at(-1)).toBe('DELETED sample'));
  expect(operator.cleaned).toEqual(['sample']);
  await operator.stop();
});

test('a handler that throws runs again, and a cut watch goes on', async () => {
  const proxy = await TcpProxy.start(cluster.server);
  onTestFinished(() => proxy.stop());
  const session = openSession(cluster, { server: proxy.url });
  const operator = await start(session);
  operator.failures = 3;
  await session.client.create(GVR.ConfigMap, 'default', configMap('sample-retried'));
  await until('the fourth try', () => expect(operator.seen).toContain('MODIFIED sample-retried'));
  proxy.cut();
  const direct = openSession(cluster);
  await direct.client.create(GVR.ConfigMap, 'default', configMap('sample-after-cut'));
  await until(
    'an event after the cut',
    () => expect(operator.seen).toContain('MODIFIED sample-after-cut'),
    20_000,
  );
});
