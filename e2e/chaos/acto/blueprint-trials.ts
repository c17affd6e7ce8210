import { conditionOf, type Target } from './administrator.ts';
import { revert } from './instance-trials.ts';
import { Finding, type Lane } from './lane.ts';
import { mutationsOf } from './mutations.ts';
import {
  expectEqual,
  expectFewWrites,
  expectKept,
  expectRefused,
  expectStalled,
  secretsOf,
} from './oracles.ts';
import { concrete, type Json, pointerOf, REMOVED, valueAt, withValue } from './pointer.ts';
import type { Mask, State } from './state.ts';
import { leavesOf, violationsOf } from './structural-schema.ts';
import { BLUEPRINT_SCHEMA, EVERY_LEAF } from './subjects.ts';
import type { Trial } from './trial.ts';

const PATIENCE_MS = 8_000;

/** What no schema can know to be wrong, or to be another thing than it was. */
const SEMANTIC: [path: string, label: string, value: unknown][] = [
  [
    'nodes/1/manifest',
    'a kind that no Blueprint may make',
    { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', rules: [] },
  ],
  ['nodes/1/manifest', 'a kind that does not exist', { apiVersion: 'nowhere.dev/v1', kind: 'Nothing' }],
  [
    'nodes/1/manifest',
    'another kind',
    { apiVersion: 'v1', kind: 'Service', spec: { ports: [{ port: 81 }] } },
  ],
  ['nodes/1/manifest/date', 'a field that the kind does not have', { text: 'x' }],
  ['nodes/1/manifest/data/text', 'a value of another type', '${params.more}'],
  ['nodes/1/manifest/data/text', 'a node that waits for itself', '${service.spec.clusterIP}'],
  ['nodes/1/manifest/data/text', 'a field that never comes', '${several}'],
  ['nodes/1/manifest/data/text', 'an expression that fails', '${string(1 / int(params.text))}'],
  ['nodes/0/when/0', 'never', '${params.text == "something else"}'],
  ['nodes/0/ready/0', 'an expression that is no condition', '${self.metadata.name}'],
  ['nodes/2/forEach', 'an item less', '${[{"name": "a"}]}'],
  ['nodes/2/key', 'the same key twice', '${"same"}'],
  ['parameters/properties/text/default', 'another default', 'by default'],
  ['parameters/properties/text', 'a parameter less', REMOVED],
  ['parameters/required', 'a parameter that nobody has given', ['more']],
];

interface Change {
  path: readonly string[];
  label: string;
  value: unknown;
  leaf?: string;
}

/** Every leaf of a Blueprint: each version is published, an Instance goes to it and comes back. */
export function blueprintTrials(mask: () => Mask, seed: string): Trial[] {
  const { spec } = EVERY_LEAF.blueprint;
  const ofLeaves = leavesOf(BLUEPRINT_SCHEMA).flatMap((leaf): Change[] => {
    const path = concrete(spec, leaf.path);
    return mutationsOf(leaf, valueAt(spec, path), seed).map((mutation) => ({
      ...mutation,
      path,
      leaf: `Blueprint ${pointerOf(leaf.path)}`,
    }));
  });
  const semantic = SEMANTIC.map(([path, label, value]): Change => ({ path: path.split('/'), label, value }));
  return [...ofLeaves, ...semantic].map(({ path, label, value, leaf }, index): Trial => {
    const pointer = pointerOf(path);
    const version = pointer === '/version' ? spec.version : `1.0.${index + 1}`;
    const mutated = withValue({ ...spec, version }, path, value) as Json;
    return {
      id: `blueprint:${pointer}: ${label}`,
      ...(leaf ? { leaf } : {}),
      operations: 3,
      run: (lane) => upgradeAndBack(lane, mutated, mask(), pointer),
    };
  });
}

async function upgradeAndBack(lane: Lane, spec: Json, mask: Mask, pointer: string): Promise<void> {
  const target = await lane.standing(EVERY_LEAF);
  const before = lane.state(target);
  const secrets = secretsOf(lane, target);
  const mark = lane.writes.length;
  const published = await publish(lane, spec, pointer);
  if (!published) return;
  const version = String(spec['version']);
  const isOther =
    spec['name'] !== EVERY_LEAF.blueprint.spec.name || version === EVERY_LEAF.blueprint.spec.version;
  if (!isOther) {
    await upgrade(lane, target, version, published, before, mask);
    expectKept(lane, target, secrets);
    // A version that no longer generates a key gives its value up: the way back makes another one.
    const kept = new Map([...secrets].filter(([key]) => secretsOf(lane, target).has(key)));
    await revert(lane, target, EVERY_LEAF.spec, before, mask);
    expectKept(lane, target, kept);
    expectFewWrites(lane, mark, target);
  }
  await lane.administrator.remove(published);
}

/** @returns undefined when the API server refused it, as it had to. */
async function publish(lane: Lane, spec: Json, pointer: string): Promise<Target | undefined> {
  const name = `${spec['name']}-${String(spec['version']).replaceAll('.', '-')}`;
  const target: Target = {
    kind: 'Blueprint',
    name: /^[a-z0-9][-a-z0-9]{0,60}[a-z0-9]$/.test(name) ? name : 'everyleaf-9-9-9',
  };
  const broken = violationsOf(BLUEPRINT_SCHEMA, spec, 'dropped');
  lane.operations += 1;
  const answer = await lane.administrator.create(target, spec);
  if (broken.length > 0) {
    const fields = [...broken.map((path) => path.findLast((step) => !/^\d+$/.test(step)) ?? ''), pointer];
    expectRefused(answer, { by: 'api server', fields }, lane.get(target) === undefined);
    return undefined;
  }
  // Names are checked against each other, which no schema says.
  if (!answer.accepted && ['/name', '/version'].includes(pointer)) return undefined;
  if (!answer.accepted) throw new Finding(`the API server refused what it should accept: ${answer.message}`);
  const edited = await lane.replace(target, withValue(spec, ['title'], 'edited in place'));
  if (edited.accepted) throw new Finding('a published version could be edited');
  await lane.settled(target, answer.generation);
  return target;
}

async function upgrade(
  lane: Lane,
  target: Target,
  version: string,
  published: Target,
  before: State,
  mask: Mask,
): Promise<void> {
  const wanted = withValue(EVERY_LEAF.spec, ['blueprintRef', 'version'], version);
  const answer = await lane.replace(target, wanted);
  if (!answer.accepted) throw new Finding(`the upgrade was refused: ${answer.message}`);
  const blueprint = lane.get(published);
  if (conditionOf(blueprint, 'Ready')?.status !== 'True') {
    const message = conditionOf(blueprint, 'Stalled')?.message ?? '';
    if (!message.includes('/')) throw new Finding(`a bad Blueprint does not say where: "${message}"`);
    await lane.settled(target, answer.generation, 'False');
    expectStalled(lane, target, [published.name], before);
    return;
  }
  const isSettled = (): boolean => {
    const object = lane.get(target);
    return object?.['status']?.observedGeneration >= answer.generation && !conditionOf(object, 'Reconciling');
  };
  // A rule that never holds, or a field that never comes: it stays in flight and says what it waits for.
  if (!(await lane.comes(isSettled, PATIENCE_MS)) && conditionOf(lane.get(target), 'Ready')?.message) return;
  const settled = await lane.settled(target, answer.generation);
  if (conditionOf(settled, 'Ready')?.status !== 'True') return;
  const another = await lane.fresh(wanted);
  await expectEqual(lane, target, () => lane.state(another), 'differential', mask);
  await lane.discard(another);
}
