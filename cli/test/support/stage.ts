import { ANNOTATIONS, type InstanceObject, type KubeObject, type LiveObject } from '@felucca/contract';
import { type Stack, startStack } from '@felucca/dev/stack';
import pg from 'pg';
import { lineOf } from '../../src/facts/events.ts';

/** The whole product on simulated nodes, with what a platform engineer applies to it. */
export class Stage {
  readonly stack: Stack;

  private constructor(stack: Stack) {
    this.stack = stack;
  }

  static async start(name: string): Promise<Stage> {
    return new Stage(await startStack({ name, persistent: false, provider: 'kwok' }));
  }

  get kubeconfig(): string {
    return this.stack.cluster.kubeconfigPath;
  }

  kubectl(...args: string[]): Promise<string> {
    return this.stack.cluster.kubectl(args);
  }

  async apply(...objects: KubeObject[]): Promise<void> {
    const list = { apiVersion: 'v1', kind: 'List', items: objects };
    await this.stack.cluster.kubectl(['apply', '-f', '-'], { stdin: JSON.stringify(list) });
  }

  async instance(namespace: string, name: string): Promise<InstanceObject> {
    return JSON.parse(await this.kubectl('get', 'instance', name, '-n', namespace, '-o', 'json'));
  }

  /** Waits until a condition of an Instance has this reason. */
  until(namespace: string, name: string, reason: string, type = 'Ready'): Promise<void> {
    return eventually(`${namespace}/${name} has ${type}=${reason}`, async () => {
      const { status, metadata } = await this.instance(namespace, name);
      const condition = status?.conditions?.find((item) => item.type === type);
      const isCurrent = metadata.deletionTimestamp || status?.observedGeneration === metadata.generation;
      if (condition?.reason !== reason || !isCurrent) throw new Error(JSON.stringify(status?.conditions));
    });
  }

  /**
   * Waits until warnings with these reasons are there about an Instance and its children, the last time of each after
   * that of the one before: Events are written beside what they tell of, and repeats come for a while.
   */
  untilWarned(namespace: string, name: string, ...reasons: string[]): Promise<void> {
    return eventually(`${namespace}/${name} has the warnings ${reasons.join(', ')}`, async () => {
      const list = await this.kubectl('get', 'events', '-n', namespace, '-o', 'json');
      const lines = (JSON.parse(list).items as LiveObject[])
        .map(lineOf)
        .filter(({ type, object }) => type === 'Warning' && object.includes(name));
      const lastMs = reasons.map((reason) =>
        Math.max(0, ...lines.filter((line) => line.reason === reason).map(({ at }) => at.getTime())),
      );
      if (lastMs.some((ms, index) => ms <= (lastMs[index - 1] ?? 0))) throw new Error(JSON.stringify(lines));
    });
  }

  /** Orders through the API, as a tenant does, and waits until it is Ready here. */
  async order(organization: string, names: readonly string[]): Promise<void> {
    const { api, dataPlane } = this.stack;
    await api.ok('POST', '/v1/organizations', { name: organization });
    for (const name of names)
      await api.ok('POST', `/v1/organizations/${organization}/instances`, {
        name,
        dataPlane: dataPlane.name,
        blueprint: 'web',
        version: '1.0.0',
      });
    for (const name of names) await this.until(`tenant-${organization}`, name, 'AllChildrenReady');
  }

  /**
   * Deletes through the API more at once than the operator's deletion budget lets go; gives one that is held. The control
   * plane has the same budget, and would hold it before it is heard of here: its window begins anew with each.
   */
  async deleteTooMany(organization: string, names: readonly string[]): Promise<string> {
    const headers = { authorization: `Bearer ${this.stack.platformKey}` };
    for (const name of names) {
      await this.#forgetDeletions();
      const url = `${this.stack.apiUrl}/v1/organizations/${organization}/instances/${name}`;
      const etag = (await fetch(url, { headers })).headers.get('etag') ?? '';
      const { status } = await fetch(url, { method: 'DELETE', headers: { ...headers, 'if-match': etag } });
      if (status !== 202) throw new Error(`DELETE ${url}: ${status}`);
    }
    await this.kubectl('wait', 'dataplane/default', '--for=condition=DeletionBlocked', '--timeout=60s');
    return eventually('a deletion is held', async () => {
      const list = await this.kubectl('get', 'instances', '-n', `tenant-${organization}`, '-o', 'json');
      const held = (JSON.parse(list).items as InstanceObject[]).find(
        ({ metadata }) => metadata.annotations?.[ANNOTATIONS.heldDeletion] !== undefined,
      );
      if (!held) throw new Error('none is');
      return held.metadata.name;
    });
  }

  async #forgetDeletions(): Promise<void> {
    const database = new pg.Client({ connectionString: this.stack.postgres.url });
    await database.connect();
    await database
      .query('UPDATE felucca.feed_heads SET window_began_at = NULL')
      .finally(() => database.end());
  }

  /** Deletes an Instance one of whose children does not go. */
  async leaveStuck(namespace: string, name: string, child: string): Promise<void> {
    const patch = '{"metadata":{"finalizers":["example.com/never"]}}';
    await this.kubectl('patch', child, '-n', namespace, '--type=merge', '-p', patch);
    await this.kubectl('delete', 'instance', name, '-n', namespace, '--wait=false');
  }

  /** Says as a kubelet would that the container of its pods crashes: here no container runs. */
  async crash(namespace: string, name: string): Promise<void> {
    const selector = ['-n', namespace, '-l', `felucca.dev/instance=${name}`];
    const pod = await eventually(`${name} has a running pod`, async () => {
      const found = await this.kubectl(
        'get',
        'pods',
        ...selector,
        '--field-selector=status.phase=Running',
        '-o',
        'name',
      );
      if (found.trim() === '') throw new Error('none is running');
      return found.trim();
    });
    const container = {
      name: 'web',
      image: 'example/web:1',
      imageID: 'simulated',
      ready: false,
      started: false,
      restartCount: 4,
      state: { waiting: { reason: 'CrashLoopBackOff', message: 'back-off restarting failed container' } },
      lastState: { terminated: { exitCode: 3, reason: 'Error' } },
    };
    const conditions = [
      { type: 'Ready', status: 'False', reason: 'ContainersNotReady' },
      { type: 'ContainersReady', status: 'False', reason: 'ContainersNotReady' },
    ];
    const patch = JSON.stringify({ status: { conditions, containerStatuses: [container] } });
    await this.kubectl(
      'patch',
      pod,
      '-n',
      namespace,
      '--subresource=status',
      '--type=strategic',
      '-p',
      patch,
    );
  }

  async stop(): Promise<void> {
    await this.stack.stop();
  }
}

/** Looks until `look` does not throw, and tells why it did the last time. */
export async function eventually<T>(what: string, look: () => Promise<T>, timeoutMs = 120_000): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await look();
    } catch (error) {
      if (performance.now() > deadline)
        throw new Error(`not within ${timeoutMs} ms: ${what}; last: ${(error as Error).message}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

export const tenant = (name: string, spec: object = {}): KubeObject => ({
  apiVersion: 'felucca.dev/v1alpha1',
  kind: 'Tenant',
  metadata: { name },
  spec,
});

export const instance = (
  namespace: string,
  name: string,
  parameters: object = {},
  more: object = {},
): KubeObject => ({
  apiVersion: 'felucca.dev/v1alpha1',
  kind: 'Instance',
  metadata: { name, namespace },
  spec: { blueprintRef: { name: 'demo', version: '1.0.0' }, parameters, ...more },
});

/** Its next version: one child less, another one more. */
export function newerDemo(): KubeObject {
  const demo = demoBlueprint('1.1.0');
  const spec = demo.spec as { nodes: { id: string }[] };
  spec.nodes = spec.nodes.map((node) => (node.id === 'settings' ? { ...node, id: 'options' } : node));
  return demo;
}

/** A version in which much is wrong: more than a person wants to find one by one. */
export function badDemo(): KubeObject {
  const settings = (n: number) => ({
    id: `settings${n}`,
    manifest: { apiVersion: 'v1', kind: 'ConfigMap', data: { message: '${params.mesage}' } },
  });
  return demoBlueprint('0.1.0', { nodes: Array.from({ length: 12 }, (_, n) => settings(n)) });
}

/** A product in which everything can be made to go wrong. */
export const demoBlueprint = (version = '1.0.0', more: object = {}): KubeObject => ({
  apiVersion: 'felucca.dev/v1alpha1',
  kind: 'Blueprint',
  metadata: { name: `demo-${version.replaceAll('.', '-')}` },
  spec: {
    name: 'demo',
    version,
    parameters: {
      type: 'object',
      properties: {
        replicas: { type: 'integer', minimum: 0, maximum: 9, default: 1 },
        cpu: { type: 'string', pattern: '^[0-9]+m?$', maxLength: 8, default: '10m' },
        message: { type: 'string', default: 'ahoy', maxLength: 64 },
        storage: { type: 'boolean', default: false },
        storageClass: { type: 'string', default: 'standard', maxLength: 40 },
      },
    },
    nodes: [
      {
        id: 'credentials',
        generate: [{ key: 'password', length: 32 }],
        manifest: { apiVersion: 'v1', kind: 'Secret', type: 'Opaque' },
      },
      {
        id: 'settings',
        drift: { report: ['/data/message'], ignore: ['/data/greeting'] },
        manifest: {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          data: { message: '${params.message}', greeting: 'hello' },
        },
      },
      {
        id: 'web',
        manifest: {
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          spec: { replicas: '${params.replicas}', template: pods },
        },
      },
      {
        id: 'db',
        when: ['${params.storage}'],
        manifest: {
          apiVersion: 'apps/v1',
          kind: 'StatefulSet',
          spec: {
            serviceName: '${instance.name}',
            template: pods,
            volumeClaimTemplates: [
              {
                metadata: { name: 'data' },
                spec: {
                  accessModes: ['ReadWriteOnce'],
                  storageClassName: '${params.storageClass}',
                  resources: { requests: { storage: '1Gi' } },
                },
              },
            ],
          },
        },
      },
    ],
    ...more,
  },
});

const pods = {
  spec: {
    securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      {
        name: 'web',
        image: 'example/web:1',
        env: [{ name: 'MESSAGE', value: '${params.message}' }],
        resources: { requests: { cpu: '${params.cpu}', memory: '16Mi' }, limits: { memory: '64Mi' } },
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
      },
    ],
  },
};
