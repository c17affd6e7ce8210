import { type Answer, conditionOf, type Target } from './administrator.ts';
import { Finding, type Lane } from './lane.ts';
import type { Json } from './pointer.ts';
import { differ, explain, type Mask, type State } from './state.ts';
import type { Product, Verdict } from './subjects.ts';

/** Caches of different kinds arrive one after the other; equal is waited for, different is judged then. */
const EQUAL_MS = 15_000;
/** Of one Instance, for one change: children, status while they come up, repairs. More is a loop. */
const MAX_WRITES = 60;

/** Fields of the refusal: the last one that is broken is enough, a message is not a list. */
export function expectNamed(message: string, fields: readonly string[], by: string): void {
  if (fields.some((field) => message.includes(field))) return;
  throw new Finding(`the ${by} names none of ${fields.join(', ')}: ${message.slice(0, 400)}`);
}

export function expectRefused(answer: Answer, verdict: Verdict, unchanged: boolean): void {
  if (answer.accepted) throw new Finding(`the API server accepted it, although ${say(verdict)} is wrong`);
  if (![400, 403, 409, 422].includes(answer.status))
    throw new Finding(`the API server answered ${answer.status}: ${answer.message}`);
  if (verdict.by === 'api server') expectNamed(answer.message, verdict.fields, 'API server');
  if (!unchanged) throw new Finding('it was refused and has still changed the object');
}

const say = (verdict: Verdict): string => (verdict.by === 'nobody' ? 'nothing' : verdict.fields.join(', '));

export async function expectEqual(
  lane: Lane,
  target: Target,
  expected: () => State,
  what: string,
  mask?: Mask,
): Promise<void> {
  const look = (): string[] => differ(lane.state(target), expected(), mask);
  if (await lane.comes(() => look().length === 0, EQUAL_MS)) return;
  throw new Finding(`${what}: ${explain(look(), lane.state(target), expected())}`);
}

/** Consistency: what was asked for is what is there. */
export async function expectRendered(
  lane: Lane,
  target: Target,
  product: Product,
  spec: Json,
): Promise<void> {
  const { expect } = product;
  if (!expect) return;
  const wrong = (): string[] =>
    expect(spec, lane.state(target))
      .filter(({ actual, expected }) => JSON.stringify(actual) !== JSON.stringify(expected))
      .map(
        ({ what, actual, expected }) =>
          `${what} is ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`,
      );
  if (await lane.comes(() => wrong().length === 0, EQUAL_MS)) return;
  throw new Finding(`consistency: ${wrong().join('; ')}`);
}

/** A refusal changes nothing but the status, and the status says which field. */
export function expectStalled(lane: Lane, target: Target, fields: readonly string[], before: State): void {
  const object = lane.get(target);
  const stalled = conditionOf(object, 'Stalled');
  if (stalled?.status !== 'True')
    throw new Finding(
      `${fields.join(', ')} is wrong, and it is not Stalled: ${JSON.stringify(object?.status?.conditions)}`,
    );
  expectNamed(stalled.message, fields, 'operator');
  const changed = differ(lane.state(target), before).filter((pointer) => pointer.startsWith('/children/'));
  if (changed.length > 0)
    throw new Finding(`refused, and still changed: ${explain(changed, lane.state(target), before)}`);
}

/** `<UID>/<key>` → value, of an Instance's Secrets. */
export function secretsOf(lane: Lane, target: Target): Map<string, string> {
  const uid = lane.get(target)?.metadata.uid;
  const all = lane.rig.observer.inNamespace(target.namespace ?? '').map(([, object]) => object);
  const ours = all.filter(
    ({ kind, metadata }) => kind === 'Secret' && metadata.labels?.['felucca.dev/instance-uid'] === uid,
  );
  return new Map(
    ours.flatMap(({ metadata, data }) =>
      Object.entries((data ?? {}) as Record<string, string>).map(([key, value]): [string, string] => [
        `${metadata.uid}/${key}`,
        value,
      ]),
    ),
  );
}

/** What was in a Secret before and is still in the same one has the same value, whatever happened to its Blueprint. */
export function expectKept(lane: Lane, target: Target, before: ReadonlyMap<string, string>): void {
  for (const [key, value] of secretsOf(lane, target))
    if (before.has(key) && before.get(key) !== value)
      throw new Finding(`rollback: a password of ${target.name} was replaced`);
}

/** No hot loop: writes for one operation are bounded. */
export function expectFewWrites(lane: Lane, mark: number, target: Target, changes = 1): void {
  const place = [target.namespace, target.name].filter(Boolean).join('/');
  const writes = lane.writes.slice(mark).filter(({ key }) => key.includes(`/${place}`));
  if (writes.length <= MAX_WRITES * changes) return;
  const last = writes.slice(-3).map(({ verb, key, status }) => `${verb} ${key} ${status}`);
  throw new Finding(`hot loop: ${writes.length} writes, the last ${last.join(', ')}`);
}
