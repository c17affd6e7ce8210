import { conditionOf, type Target } from './administrator.ts';
import { Finding, type Lane } from './lane.ts';
import { type Mutation, mutationsOf } from './mutations.ts';
import { expectFewWrites, expectRefused } from './oracles.ts';
import { concrete, type Json, pointerOf, valueAt, withValue } from './pointer.ts';
import { differ, explain, type State, tenantState } from './state.ts';
import { type Leaf, leavesOf, type Schema, violationsOf } from './structural-schema.ts';
import { DATA_PLANE_SCHEMA, TENANT_SCHEMA } from './subjects.ts';
import type { Trial } from './trial.ts';

const TENANT_SPEC: Json = {
  organizationId: 'an-organization',
  quota: { cpu: '4', memory: '8Gi', storage: '100Gi', pods: 50 },
};
const DATA_PLANE_SPEC: Json = { deletionBudgetPercent: 5, deletionWindowSeconds: 3600 };
const QUANTITIES: Mutation[] = [
  { label: 'an impossible quantity', value: '9'.repeat(4096) },
  { label: 'nothing at all', value: '0' },
  { label: 'another way to write it', value: '4000m' },
];

/** Every leaf of a Tenant: its quota arrives in its namespace, what is wrong is refused, and both go back. */
export function tenantTrials(seed: string): Trial[] {
  return leavesOf(TENANT_SCHEMA).flatMap((leaf) =>
    mutated(leaf, TENANT_SPEC, seed, leaf.path.at(-1) === 'pods' ? [] : QUANTITIES).map(
      ({ label, spec, pointer }) => ({
        id: `tenant:${pointer}: ${label}`,
        leaf: `Tenant ${pointerOf(leaf.path)}`,
        operations: 2,
        run: (lane: Lane) => changeTenant(lane, spec),
      }),
    ),
  );
}

/** Every leaf of a DataPlane. Without a control plane nothing follows from it, so nothing may. */
export function dataPlaneTrials(seed: string): Trial[] {
  return leavesOf(DATA_PLANE_SCHEMA).flatMap((leaf) =>
    mutated(leaf, DATA_PLANE_SPEC, seed, []).map(({ label, spec, pointer }) => ({
      id: `dataplane:${pointer}: ${label}`,
      leaf: `DataPlane ${pointerOf(leaf.path)}`,
      operations: 2,
      run: (lane: Lane) => oneAtATime(() => changeDataPlane(lane, spec)),
    })),
  );
}

/** There is one DataPlane for all lanes. */
let dataPlaneIsFree: Promise<unknown> = Promise.resolve();
function oneAtATime(work: () => Promise<void>): Promise<void> {
  const mine = dataPlaneIsFree.then(work, work);
  dataPlaneIsFree = mine;
  return mine;
}

function mutated(
  leaf: Leaf,
  base: Json,
  seed: string,
  semantic: Mutation[],
): { label: string; spec: Json; pointer: string }[] {
  const path = concrete(base, leaf.path);
  const extra = leaf.schema.type === 'string' && leaf.path[0] === 'quota' ? semantic : [];
  return [...mutationsOf(leaf, valueAt(base, path), seed), ...extra].map(({ label, value }) => ({
    label,
    spec: withValue(base, path, value),
    pointer: pointerOf(path),
  }));
}

async function changeTenant(lane: Lane, spec: Json): Promise<void> {
  const target: Target = { kind: 'Tenant', name: `bounded${lane.name}` };
  const state = (): State => {
    const tenant = lane.get(target);
    if (!tenant) throw new Finding(`${target.name} is gone`);
    return tenantState(lane.rig.observer, tenant);
  };
  if (!lane.get(target)) {
    const { generation } = await lane.create(target, TENANT_SPEC);
    await lane.settled(target, generation, 'True');
    await lane.comes(() => quotaProblem(state(), TENANT_SPEC) === undefined);
  }
  const before = state();
  const mark = lane.writes.length;
  const isMoved = spec['organizationId'] !== TENANT_SPEC['organizationId'];
  if (!(await changed(lane, target, TENANT_SCHEMA, spec, isMoved ? ['organizationId'] : []))) return;
  await lane.comes(() => quotaProblem(state(), spec) === undefined);
  const problem = quotaProblem(state(), spec);
  if (problem) throw new Finding(`consistency: ${problem}`);
  const answer = await lane.replace(target, TENANT_SPEC);
  if (!answer.accepted) throw new Finding(`rollback: the old spec was refused: ${answer.message}`);
  await lane.settled(target, answer.generation, 'True');
  await lane.comes(() => differ(state(), before).length === 0);
  const different = differ(state(), before);
  if (different.length > 0) throw new Finding(`rollback: ${explain(different, state(), before)}`);
  expectFewWrites(lane, mark, { ...target, namespace: `tenant-${target.name}` });
}

async function changeDataPlane(lane: Lane, spec: Json): Promise<void> {
  const target: Target = { kind: 'DataPlane', name: 'default' };
  if (!lane.get(target)) await lane.create(target, DATA_PLANE_SPEC);
  await lane.comes(() => lane.get(target) !== undefined);
  const before = JSON.stringify(lane.get(target)?.status);
  if (!(await changed(lane, target, DATA_PLANE_SCHEMA, spec, []))) return;
  const answer = await lane.replace(target, DATA_PLANE_SPEC);
  if (!answer.accepted) throw new Finding(`rollback: the old spec was refused: ${answer.message}`);
  const after = JSON.stringify(lane.get(target)?.status);
  if (after !== before) throw new Finding(`its status changed from ${before} to ${after}`);
}

/** Writes a spec; false when it was refused, as it had to be. */
async function changed(
  lane: Lane,
  target: Target,
  schema: Schema,
  spec: Json,
  alsoWrong: string[],
): Promise<boolean> {
  const generation = lane.get(target)?.metadata.generation;
  const broken = violationsOf(schema, spec, 'dropped').map((path) => path.at(-1) ?? 'spec');
  const fields = [...broken, ...alsoWrong];
  const answer = await lane.replace(target, spec);
  if (fields.length > 0) {
    expectRefused(answer, { by: 'api server', fields }, lane.get(target)?.metadata.generation === generation);
    return false;
  }
  if (!answer.accepted) throw new Finding(`the API server refused what it should accept: ${answer.message}`);
  if (target.kind === 'Tenant') {
    const settled = await lane.settled(target, answer.generation);
    const ready = conditionOf(settled, 'Ready');
    if (ready?.status !== 'True') throw new Finding(`is not Ready: ${ready?.message}`);
  }
  return true;
}

/** What the quota of the namespace should be, by hand; undefined when it is so. */
function quotaProblem({ children }: State, spec: Json): string | undefined {
  const quota = (spec['quota'] ?? {}) as Json;
  const hard = (valueAt(children, ['ResourceQuota/felucca', 'spec', 'hard']) ?? {}) as Record<string, string>;
  const wanted: [string, unknown][] = [
    ['requests.cpu', quota['cpu'] ?? '16'],
    ['requests.memory', quota['memory'] ?? '64Gi'],
    ['limits.memory', quota['memory'] ?? '64Gi'],
    ['requests.storage', quota['storage'] ?? '500Gi'],
    ['pods', quota['pods'] ?? 100],
  ];
  const wrong = wanted.filter(([name, value]) => amount(hard[name]) !== amount(value));
  return wrong.length === 0
    ? undefined
    : wrong.map(([name, value]) => `${name} is ${hard[name]}, expected ${short(value)}`).join('; ');
}

const UNITS: Record<string, number> = { m: 1e-3, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18 };
/** More than that no quantity of the API server can say. */
const LARGEST = 2 ** 63;
function amount(value: unknown): number {
  const [, digits = '', unit = '', binary = ''] = /^([\d.]+)([mkMGTPEK]?)(i?)$/.exec(String(value)) ?? [];
  const power = 'KMGTPE'.indexOf(unit) + 1;
  const factor = binary ? 1024 ** power : (UNITS[unit] ?? 1);
  // Of a resource the API server keeps thousandths, rounded up; nine digits are as many as a number tells exactly.
  return Number((Math.ceil(Math.min(LARGEST, Number(digits) * factor) * 1e3 - 1e-6) / 1e3).toPrecision(9));
}
const short = (value: unknown): string => String(value).slice(0, 40);
