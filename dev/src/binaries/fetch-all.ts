import { availableTools } from './available.ts';
import { resolveNodeTools } from './node-tools.ts';
import { resolveBinary } from './resolve.ts';

/** Every program that the local stack can use on this machine, into the cache. `say` gets progress, then each path. */
export async function fetchAll(say: (line: string) => void): Promise<void> {
  const { binaries, nodes } = availableTools();
  for (const name of binaries) say(`${name}: ${await resolveBinary(name, say)}`);
  if (nodes) say(`runc: ${(await resolveNodeTools(say)).runc}`);
}
