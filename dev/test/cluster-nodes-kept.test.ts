import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { busyboxArchive, startCluster } from '../src/index.ts';
import { waitUntil } from '../src/process/wait-until.ts';
import { scratchDirectory } from './scratch.ts';

const canRun = process.platform === 'linux' && process.getuid?.() === 0;
const sharedSysctls = ['vm/overcommit_memory', 'vm/panic_on_oom', 'kernel/panic', 'kernel/panic_on_oops']
  .concat(['kernel/keys/root_maxkeys', 'kernel/keys/root_maxbytes', 'net/ipv4/ip_forward'])
  .map((name) => `/proc/sys/${name}`);

describe.skipIf(!canRun)('a persistent cluster with real nodes', () => {
  test('starts its pods again, with their images and volumes, and leaves the machine as it was', async () => {
    const settings = () => sharedSysctls.map((path) => readFileSync(path, 'utf8'));
    const before = settings();
    const stateDir = join(scratchDirectory(), 'kept');
    const options = {
      name: 'test-nodes-kept',
      provider: 'nodes',
      nodes: 1,
      persistent: true,
      stateDir,
    } as const;
    const image = await busyboxArchive();

    const first = await startCluster(options);
    try {
      await first.loadImage(image.archive);
      await first.kubectl(['apply', '-f', '-'], { stdin: JSON.stringify(database(image.reference)) });
      await first.kubectl(['rollout', 'status', 'statefulset/db', '--timeout=60s']);
      expect(settings()).toEqual(before);
    } finally {
      await first.stop();
    }

    const second = await startCluster(options);
    try {
      const log = () => second.kubectl(['exec', 'db-0', '--', 'cat', '/data/starts']);
      const starts = await waitUntil('the pod to run again', log, { timeoutMs: 60_000 });
      expect(starts).toBe('started\nstarted\n');
    } finally {
      await second.stop();
    }
    expect(settings()).toEqual(before);
  });
});

function database(image: string) {
  const command = ['sh', '-c', 'echo started >> /data/starts; exec sleep 100000'];
  const volumeMounts = [{ name: 'data', mountPath: '/data' }];
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: 'db' },
    spec: {
      serviceName: 'db',
      selector: { matchLabels: { app: 'db' } },
      template: {
        metadata: { labels: { app: 'db' } },
        spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'c', image, command, volumeMounts }] },
      },
      volumeClaimTemplates: [
        {
          metadata: { name: 'data' },
          spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
        },
      ],
    },
  };
}
