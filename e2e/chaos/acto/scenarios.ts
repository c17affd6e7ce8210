import type { KubeObject } from '../rig.ts';
import { conditionOf, type Target } from './administrator.ts';
import { revert } from './instance-trials.ts';
import { Finding, type Lane } from './lane.ts';
import { expectNamed } from './oracles.ts';
import { type Json, withValue } from './pointer.ts';
import { EVERY_LEAF, POSTGRES, type Product, WEB } from './subjects.ts';
import type { Trial } from './trial.ts';

/** Mistakes that no single field shows: what is missing, taken or too small around an Instance. */
export function scenarios(): Trial[] {
  const tried = (id: string, operations: number, run: Trial['run']): Trial => ({
    id: `scenario: ${id}`,
    operations,
    run,
  });
  return [
    ...TAKEN.map(([product, path, object]) =>
      tried(`the name of a child is taken: ${object['kind']}`, 2, (lane) =>
        nameIsTaken(lane, product, path, object),
      ),
    ),
    tried('the Blueprint comes after its Instance', 3, blueprintComesLater),
    tried('the quota leaves no room for a pod', 4, quotaIsZero),
    tried('the namespace belongs to no Tenant', 1, noTenant),
    tried('the name is too long', 1, (lane) => refusedName(lane, 'x'.repeat(41))),
    tried('the name has a dot', 1, (lane) => refusedName(lane, 'a.b')),
    tried('suspended and resumed', 2, suspended),
    tried('deleted while its spec is wrong', 2, deletedWhileWrong),
    tried('deleted and made again at once', 2, madeAgain),
  ];
}

const TAKEN: [Product, string, Json][] = [
  [WEB, '/apis/apps/v1', { kind: 'Deployment', apiVersion: 'apps/v1', spec: deploymentSpec() }],
  [WEB, '/api/v1', { kind: 'Service', apiVersion: 'v1', spec: { ports: [{ port: 1 }] } }],
  [POSTGRES, '/api/v1', { kind: 'ConfigMap', apiVersion: 'v1', data: { mine: 'yes' } }],
  [POSTGRES, '/api/v1', { kind: 'Secret', apiVersion: 'v1', stringData: { mine: 'yes' } }],
];
const NODE: Record<string, string> = {
  Deployment: 'web',
  Service: 'service',
  ConfigMap: 'config',
  Secret: 'credentials',
};

function deploymentSpec(): Json {
  const labels = { app: 'mine' };
  const containers = [{ name: 'c', image: 'example.test/mine:1' }];
  const template = { metadata: { labels }, spec: { containers } };
  return { replicas: 0, selector: { matchLabels: labels }, template };
}

async function nameIsTaken(lane: Lane, product: Product, path: string, object: Json): Promise<void> {
  const kind = String(object['kind']);
  const target = lane.instance(`taken-${lane.name}-${kind.toLowerCase()}`);
  const child = `${target.name}-${NODE[kind]}`;
  const collection = `${path}/namespaces/${lane.namespace}/${kind.toLowerCase()}s`;
  const stranger = { ...object, metadata: { name: child, namespace: lane.namespace } };
  await lane.rig.admin.create(stranger as unknown as KubeObject);
  const there = async (): Promise<Json> => (await lane.rig.admin.call('GET', `${collection}/${child}`)).body;
  const { metadata: before } = (await there()) as { metadata: { generation?: number; uid: string } };
  const { generation } = await lane.create(target, product.spec);
  await lane.settled(target, generation, 'False');
  const ready = conditionOf(lane.get(target), 'Ready');
  if (ready?.reason !== 'NameConflict')
    throw new Finding(`${child} is taken, and it says ${ready?.reason}: ${ready?.message}`);
  expectNamed(ready.message, [child], 'operator');
  const { metadata: after } = (await there()) as {
    metadata: { generation?: number; uid: string; labels?: Json };
  };
  if (after.uid !== before.uid || after.generation !== before.generation || after.labels)
    throw new Finding(`${child} is somebody else's, and was changed: ${JSON.stringify(after)}`);
  await lane.rig.admin.call('DELETE', `${collection}/${child}`);
  // Nobody tells the operator that a stranger is gone: it looks again, or is asked to.
  await lane.replace(target, withValue(product.spec, ['suspend'], true));
  const resumed = await lane.replace(target, product.spec);
  await lane.settled(target, resumed.generation, 'True');
  await lane.discard(target);
}

async function blueprintComesLater(lane: Lane): Promise<void> {
  const version = `2.0.${Number(lane.name) + 1}`;
  const spec = withValue(EVERY_LEAF.spec, ['blueprintRef', 'version'], version);
  const target = lane.instance(`early-${lane.name}`);
  const { generation } = await lane.create(target, spec);
  await lane.settled(target, generation, 'False');
  expectNamed(conditionOf(lane.get(target), 'Stalled')?.message ?? '', [version], 'operator');
  const blueprint: Target = { kind: 'Blueprint', name: `everyleaf-${version.replaceAll('.', '-')}` };
  await lane.create(blueprint, { ...EVERY_LEAF.blueprint.spec, version });
  await lane.settled(target, generation, 'True');
  await lane.discard(target);
  await lane.administrator.remove(blueprint);
}

async function quotaIsZero(lane: Lane): Promise<void> {
  const tenant: Target = { kind: 'Tenant', name: `full${lane.name}` };
  const roomy = { quota: { cpu: '100', memory: '100Gi', pods: 50 } };
  const full = { quota: { cpu: '100', memory: '100Gi', pods: 0 } };
  const { generation } = await lane.create(tenant, full);
  await lane.settled(tenant, generation, 'True');
  const target: Target = { kind: 'Instance', namespace: `tenant-${tenant.name}`, name: 'site' };
  await lane.create(target, WEB.spec);
  const isTold = (object: Parameters<typeof conditionOf>[0]): boolean =>
    /quota/.test(conditionOf(object, 'Ready')?.message ?? '');
  await lane.until(target, isTold, 'a message that names the quota');
  const answer = await lane.replace(tenant, roomy);
  await lane.settled(tenant, answer.generation, 'True');
  await lane.settled(target, 1, 'True');
  await lane.administrator.remove(target);
  await lane.comes(() => lane.get(target) === undefined);
  await lane.discard(tenant);
}

async function noTenant(lane: Lane): Promise<void> {
  const target: Target = { kind: 'Instance', namespace: 'default', name: `stray-${lane.name}` };
  const { generation } = await lane.create(target, WEB.spec);
  await lane.settled(target, generation, 'False');
  expectNamed(conditionOf(lane.get(target), 'Stalled')?.message ?? '', ['default'], 'operator');
  await lane.discard(target);
}

async function refusedName(lane: Lane, name: string): Promise<void> {
  lane.operations += 1;
  const answer = await lane.administrator.create(lane.instance(name), WEB.spec);
  if (answer.accepted) throw new Finding(`the name ${name} was accepted`);
  expectNamed(answer.message, ['metadata.name'], 'API server');
}

async function suspended(lane: Lane): Promise<void> {
  const target = await lane.standing(POSTGRES);
  const before = lane.state(target);
  const answer = await lane.replace(target, withValue(POSTGRES.spec, ['suspend'], true));
  await lane.settled(target, answer.generation, 'False');
  const reason = conditionOf(lane.get(target), 'Ready')?.reason;
  if (reason !== 'Suspended') throw new Finding(`suspended, and it says ${reason}`);
  await revert(lane, target, POSTGRES.spec, before);
}

/** A mistake must not keep anybody from deleting. */
async function deletedWhileWrong(lane: Lane): Promise<void> {
  const target = lane.instance(`wrong-${lane.name}`);
  const { generation } = await lane.create(target, WEB.spec);
  await lane.settled(target, generation, 'True');
  const answer = await lane.replace(target, withValue(WEB.spec, ['parameters', 'replicas'], -1));
  await lane.settled(target, answer.generation, 'False');
  await lane.discard(target);
}

async function madeAgain(lane: Lane): Promise<void> {
  const target = lane.instance(`again-${lane.name}`);
  const first = await lane.create(target, WEB.spec);
  await lane.settled(target, first.generation, 'True');
  await lane.administrator.remove(target);
  const gone = await lane.comes(() => lane.get(target) === undefined);
  if (!gone) throw new Finding(`${target.name} does not go away`);
  const second = await lane.create(target, WEB.spec);
  await lane.until(target, ({ metadata }) => metadata.uid === second.uid, 'the new one');
  await lane.settled(target, second.generation, 'True');
  await lane.discard(target);
}
