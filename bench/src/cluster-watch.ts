import { request } from 'node:https';
import type { Cluster } from '@felucca/dev';

/** An object as the watch showed it, with the local monotonic time of its arrival. */
export interface Seen {
  atMs: number;
  type: string;
  // biome-ignore lint/suspicious/noExplicitAny: any Kubernetes object
  object: any;
}

/**
 * Watches one collection as the cluster's administrator: the bench's own clock, independent of what
 * operator and API say about themselves.
 */
export function watchCollection(cluster: Cluster, path: string, onSeen: (seen: Seen) => void): () => void {
  const url = new URL(`${path}?watch=true&allowWatchBookmarks=false`, cluster.server);
  const call = request(
    url,
    {
      ca: cluster.caPem,
      headers: { authorization: `Bearer ${cluster.adminToken}`, accept: 'application/json' },
    },
    (response) => {
      let rest = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        const atMs = performance.now();
        const lines = (rest + chunk).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) if (line !== '') onSeen({ atMs, ...JSON.parse(line) });
      });
    },
  );
  let stopped = false;
  call.on('error', (error) => {
    if (!stopped) throw error;
  });
  call.end();
  return () => {
    stopped = true;
    call.destroy();
  };
}
