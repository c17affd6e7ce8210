import type { Cluster } from '../cluster/cluster.ts';
import { waitUntil } from '../process/wait-until.ts';

/** A cluster with the two things that journeys do to it besides kubectl. */
export interface StackCluster extends Cluster {
  apply(object: unknown): Promise<void>;
  /** Cuts every connection to the API server, watches included, and waits until it serves again. */
  restartApiServer(): Promise<void>;
}

export function stackCluster(cluster: Cluster): StackCluster {
  const added = {
    async apply(object: unknown) {
      await cluster.kubectl(['apply', '--server-side', '-f', '-'], { stdin: JSON.stringify(object) });
    },
    async restartApiServer() {
      const server = cluster.processes['kube-apiserver'];
      if (server === undefined)
        throw new Error(`Provider "${cluster.provider}" has no API server of ours to restart`);
      // Killed, not asked: asked politely it waits for every open watch.
      await server.kill();
      await server.restart();
      await waitUntil('the API server serves again', () => cluster.kubectl(['get', '--raw', '/readyz']), {
        timeoutMs: 60_000,
        children: [server],
      });
    },
  };
  // Getters of the cluster (its logs) must stay live, so it becomes the prototype.
  return Object.assign(Object.create(cluster) as Cluster, added);
}
