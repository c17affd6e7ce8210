import { conditionOf, type Target } from './administrator.ts';
import { Finding, type Lane } from './lane.ts';
import { type Mutation, mutationsOf } from './mutations.ts';
import {
  expectEqual,
  expectFewWrites,
  expectNamed,
  expectRefused,
  expectRendered,
  expectStalled,
} from './oracles.ts';
import { concrete, type Json, pointerOf, valueAt, withValue } from './pointer.ts';
import type { Mask, State } from './state.ts';
import { type Product, verdictOf } from './subjects.ts';
import type { Trial } from './trial.ts';

/** On simulated nodes a container never runs, so it cannot crash; an image can fail to come. */
const NEVER_PULLED = 'registry.invalid/never:1';
const SEMANTIC: Record<string, Mutation[]> = {
  '/parameters/image': [{ label: 'an image that nobody can pull', value: NEVER_PULLED }],
  '/parameters/message': [
    { label: 'text that looks like a template', value: '${params.replicas} {{ .Values }}' },
  ],
  '/blueprintRef/version': [{ label: 'a version that nobody published', value: '99.0.0' }],
  '/parameters': [{ label: 'a name that every JavaScript object has', value: { constructor: 'x' } }],
};

/** Every leaf of an Instance's spec and of its Blueprint's parameters, each with everything that is tried there. */
export function instanceTrials(product: Product, mask: () => Mask, seed: string): Trial[] {
  return product.leaves.flatMap((leaf) => {
    const path = concrete(product.spec, leaf.path);
    const pointer = pointerOf(path);
    const mutations = [...mutationsOf(leaf, valueAt(product.spec, path), seed), ...(SEMANTIC[pointer] ?? [])];
    return mutations.map(
      ({ label, value }): Trial => ({
        id: `${product.name}:${pointer}: ${label}`,
        leaf: `Instance of ${product.name} ${pointerOf(leaf.path)}`,
        operations: 2,
        run: (lane) => changeAndRevert(lane, product, mask(), withValue(product.spec, path, value)),
      }),
    );
  });
}

async function changeAndRevert(lane: Lane, product: Product, mask: Mask, wanted: Json): Promise<void> {
  const target = await lane.standing(product);
  const before = lane.state(target);
  const mark = lane.writes.length;
  await changeInstance(lane, target, product, wanted, before, mask);
  await revert(lane, target, product.spec, before);
  expectFewWrites(lane, mark, target);
}

/** S → bad → S equals S, with the same passwords, and Ready again. */
export async function revert(
  lane: Lane,
  target: Target,
  spec: Json,
  before: State,
  mask?: Mask,
): Promise<void> {
  const answer = await lane.replace(target, spec);
  if (!answer.accepted) throw new Finding(`rollback: the old spec was refused: ${answer.message}`);
  await lane.settled(target, answer.generation, 'True');
  await expectEqual(lane, target, () => before, 'rollback', mask);
}

export async function changeInstance(
  lane: Lane,
  target: Target,
  product: Product,
  wanted: Json,
  before: State,
  mask: Mask,
): Promise<void> {
  const verdict = verdictOf(product, product.spec, wanted);
  const generation = lane.get(target)?.metadata.generation ?? 0;
  const answer = await lane.replace(target, wanted);
  if (verdict.by === 'api server') {
    expectRefused(answer, verdict, (lane.get(target)?.metadata.generation ?? 0) === generation);
    return;
  }
  if (!answer.accepted) throw new Finding(`the API server refused what it should accept: ${answer.message}`);
  if (isNeverReady(wanted)) {
    await lane.until(target, (object) => isUnready(object, answer.generation), 'not Ready, and a reason why');
    return;
  }
  await lane.settled(target, answer.generation, verdict.by === 'nobody' ? undefined : 'False');
  if (verdict.by === 'operator') return expectStalled(lane, target, verdict.fields, before);
  // Refused by the API server with the child, or later with its pods: either way its words arrive.
  if (verdict.by === 'child') {
    const ready = conditionOf(lane.get(target), 'Ready');
    return expectNamed(`${ready?.reason}: ${ready?.message}`, verdict.fields, 'operator');
  }
  await expectDone(lane, target, wanted);
  await expectRendered(lane, target, product, wanted);
  const another = await lane.fresh(wanted);
  await expectEqual(lane, target, () => lane.state(another), 'differential', mask);
  await lane.discard(another);
}

async function expectDone(lane: Lane, target: Target, spec: Json): Promise<void> {
  const ready = conditionOf(lane.get(target), 'Ready');
  const reason = spec['suspend'] === true ? 'Suspended' : 'AllChildrenReady';
  if (ready?.reason !== reason)
    throw new Finding(`should be ${reason} and is ${ready?.reason}: ${ready?.message}`);
}

const isNeverReady = (spec: Json): boolean => valueAt(spec, ['parameters', 'image']) === NEVER_PULLED;

function isUnready(object: Parameters<typeof conditionOf>[0], generation: number): boolean {
  const ready = conditionOf(object, 'Ready');
  return (
    (object?.status?.observedGeneration ?? 0) >= generation &&
    ready?.status === 'False' &&
    ['ChildFailed', 'ChildrenProgressing'].includes(ready.reason)
  );
}
