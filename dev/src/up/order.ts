import { setTimeout as delay } from 'node:timers/promises';
import type { Json, Stack } from '../stack/index.ts';

export const organization = 'acme';
export const instance = 'orders-db';
const order = {
  name: instance,
  blueprint: 'postgres',
  version: '1.0.0',
  parameters: { version: '18', size: 'small', storageGi: 1 },
};
const path = `/v1/organizations/${organization}/instances/${instance}`;
const readyTimeoutMs = 300_000;
const pollMs = 100;

/** What the loop answers in the end: the outputs that the operator reported. */
export type Outputs = Record<string, { value?: unknown; secretRef?: { name: string; key: string } }>;

/** Orders the example database, or finds it, and shows each hop until it is Ready. */
export async function orderInstance(
  stack: Stack,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<Outputs> {
  const { api } = stack;
  if ((await api.find(`/v1/organizations/${organization}`)) === undefined)
    await api.ok('POST', '/v1/organizations', { name: organization });
  const found = await api.find(path);
  if (found !== undefined) {
    say(`${organization}/${instance} is there from the last time (generation ${found.generation})`);
    return untilReady(stack, undefined, say, signal);
  }
  const accepted = await api.ok('POST', `/v1/organizations/${organization}/instances`, {
    ...order,
    dataPlane: stack.dataPlane.name,
  });
  say(
    `POST /v1/organizations/${organization}/instances: 202, accepted as operation ${accepted.operation.id}`,
  );
  return untilReady(stack, accepted.operation.id, say, signal);
}

const hops = [
  ['deliveredAt', 'delivered to the operator'],
  ['appliedAt', 'applied: the operator reported this generation'],
  ['readyAt', 'ready'],
] as const;

async function untilReady(
  stack: Stack,
  operationId: string | undefined,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<Outputs> {
  const { api } = stack;
  const shown = new Set<string>();
  const sayOnce = (line: string) => {
    if (!shown.has(line)) say(line);
    shown.add(line);
  };
  const deadline = performance.now() + readyTimeoutMs;
  let last = 'nothing was reported yet';
  while (performance.now() < deadline) {
    signal.throwIfAborted();
    const [wanted, observed] = await Promise.all([api.ok('GET', path), api.ok('GET', `${path}/observed`)]);
    const operation: Json =
      operationId && (await api.ok('GET', `/v1/organizations/${organization}/operations/${operationId}`));
    if (operation) sayHops(operation, sayOnce);
    if (observed.refused) throw new Error(`the operator refused it: ${observed.refused.message}`);
    const ready = observed.conditions.find((condition: Json) => condition.type === 'Ready');
    if (ready !== undefined) {
      last = `Ready=${ready.status} (${ready.reason}): ${ready.message}`;
      sayOnce(last);
    }
    const current = observed.generation === wanted.generation;
    if (current && ready?.status === 'True' && (!operation || operation.readyAt)) return observed.outputs;
    await delay(pollMs, undefined, { signal });
  }
  throw new Error(`${organization}/${instance} was not Ready within ${readyTimeoutMs / 1000} s; ${last}`);
}

/** Latency from the commit of the order, by the stamps of the control plane itself. */
function sayHops(operation: Json, say: (line: string) => void): void {
  const acceptedMs = Date.parse(operation.acceptedAt);
  for (const [field, text] of hops) {
    if (!operation[field]) continue;
    const ms = Date.parse(operation[field]) - acceptedMs;
    say(`+${ms < 10_000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`} ${text}`);
  }
}
