import { fileURLToPath } from 'node:url';
import { resolveBinary } from '../binaries/resolve.ts';
import { waitUntil } from '../process/wait-until.ts';
import type { ControlPlane } from './control-plane.ts';

const stages = fileURLToPath(new URL('./kwok-stages.yaml', import.meta.url));
const capacity = { cpu: '1000', memory: '1Ti', 'ephemeral-storage': '10Ti', pods: '100000' };

interface NodeList {
  readonly items: readonly { status?: { conditions?: readonly { type: string; status: string }[] } }[];
}

/** Node objects that kwok keeps Ready and whose pods it plays. No container ever runs. */
export async function startSimulatedNodes(
  controlPlane: ControlPlane,
  options: { count: number; timeoutMs: number; signal?: AbortSignal },
): Promise<void> {
  const { api } = controlPlane;
  const kubeconfig = await controlPlane.kubeconfigFor('kwok', 'kwok', 'system:masters');
  const kwok = controlPlane.spawn('kwok', await resolveBinary('kwok'), [
    `--kubeconfig=${kubeconfig}`,
    `--config=${stages}`,
    '--manage-all-nodes',
    '--node-lease-duration-seconds=40',
    '--node-ip=127.0.0.1',
    '--cidr=10.128.0.0/11',
  ]);
  for (let index = 1; index <= options.count; index += 1) {
    const name = `node-${index}`;
    await api.create('/api/v1/nodes', {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: {
        name,
        labels: { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux', type: 'simulated' },
      },
      status: { capacity, allocatable: capacity },
    });
  }
  await waitUntil(
    `${options.count} simulated nodes to be Ready`,
    async () => {
      const nodes = await api.get<NodeList>('/api/v1/nodes');
      return (
        nodes.items.length >= options.count &&
        nodes.items.every((node) =>
          node.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True'),
        )
      );
    },
    { ...options, children: [kwok] },
  );
}
