import {
  type InstanceObject,
  organizationOf,
  stuckObject,
  type TenantObject,
  tenantNamespace,
} from '@felucca/contract';
import { type Branch, branchOf } from '../facts/branch.ts';
import { childrenFacts } from '../facts/children.ts';
import { conditionOf, isTrue } from '../facts/conditions.ts';
import { EXIT, Failure } from '../failure.ts';
import { ifAllowed, isSeen, seenValue } from '../kube/errors.ts';
import { findInstance } from '../kube/find-instance.ts';
import { age } from '../show/age.ts';
import { type Answer, show } from '../show/output.ts';
import type { Paint } from '../show/paint.ts';
import { table } from '../show/table.ts';
import type { Context } from './context.ts';

const MAX_INSTANCES = 200;

/** A Tenant's Instances, or one Instance: children, pods and volumes below. */
export async function treeCommand(context: Context, name: string | undefined): Promise<number> {
  const roots = await rootsOf(context, name);
  await show(context.terminal, context.format, treeAnswer(roots, context.paint, context.terminal.now()));
  return EXIT.ok;
}

async function rootsOf(context: Context, name: string | undefined): Promise<Branch[]> {
  const tenantName = name?.match(/^tenants?(?:\.felucca\.dev)?\/(.+)$/)?.[1];
  if (name !== undefined && tenantName === undefined)
    return [await instanceBranch(context, await findInstance(context.kube, name, context.namespace))];
  const namespace = tenantName === undefined ? context.namespace : tenantNamespace(tenantName);
  const selection = { labelSelector: context.selector };
  const instances = await context.kube.list<InstanceObject>('Instance', namespace, selection);
  if (instances.length > MAX_INSTANCES)
    throw new Failure(
      `${instances.length} Instances are too many for one tree`,
      'narrow it with -n, with -l, or name a Tenant: tree tenant/<name>',
    );
  const byNamespace = Map.groupBy(instances, (instance) => instance.metadata.namespace ?? '');
  if (tenantName !== undefined && byNamespace.size === 0) byNamespace.set(tenantNamespace(tenantName), []);
  const roots: Branch[] = [];
  for (const [place, here] of [...byNamespace].toSorted(([a], [b]) => a.localeCompare(b)))
    roots.push(await tenantBranch(context, place, here));
  return roots;
}

async function tenantBranch(
  context: Context,
  namespace: string,
  instances: readonly InstanceObject[],
): Promise<Branch> {
  const branches: Branch[] = [];
  for (const instance of instances.toSorted((a, b) => a.metadata.name.localeCompare(b.metadata.name)))
    branches.push(await instanceBranch(context, instance));
  const name = organizationOf(namespace);
  if (name === undefined)
    return {
      object: `Namespace/${namespace}`,
      state: 'failed',
      message: 'not that of a Tenant: nothing is made of Instances here',
      drift: [],
      branches,
    };
  const tenant = await ifAllowed(context.kube.get<TenantObject>('Tenant', undefined, name));
  const object = seenValue(tenant);
  if (isSeen(tenant) && !object && instances.length === 0)
    throw new Failure(`there is no Tenant "${name}"`, 'kubectl get tenants lists those that there are');
  const ready = conditionOf(object, 'Ready');
  return {
    object: `Tenant/${name}`,
    state: tenantState(object),
    message: ready?.message ?? (isSeen(tenant) ? 'there is no such Tenant' : 'hidden from you'),
    createdAt: object?.metadata.creationTimestamp,
    drift: [],
    branches,
  };
}

function tenantState(tenant: TenantObject | undefined): Branch['state'] {
  const ready = conditionOf(tenant, 'Ready');
  if (tenant?.metadata.deletionTimestamp) return isTrue(tenant, 'DeletionBlocked') ? 'failed' : 'deleting';
  return ready ? (ready.status === 'True' ? 'ready' : 'failed') : 'unknown';
}

async function instanceBranch({ kube, terminal }: Context, instance: InstanceObject): Promise<Branch> {
  const facts = await childrenFacts(kube, instance, terminal.now());
  const isStuck = facts.children.some(({ pods }) => stuckObject([], pods, facts.now));
  const events = isStuck ? await ifAllowed(kube.list('Event', instance.metadata.namespace)) : undefined;
  return branchOf(facts, events && seenValue(events));
}

export function treeAnswer(roots: readonly Branch[], paint: Paint, now: Date): Answer {
  const names: string[] = [];
  const rows: string[][] = [];
  const tint = {
    ready: paint.good,
    progressing: paint.warn,
    failed: paint.bad,
    unknown: paint.dim,
    deleting: paint.warn,
    gone: paint.dim,
  };
  const visit = (branch: Branch, lead: string, tail: string): void => {
    names.push(branch.object.toLowerCase());
    const drift = branch.drift.length > 0 ? paint.warn(` [drift: ${branch.drift.join(', ')}]`) : '';
    rows.push([
      lead + branch.object,
      tint[branch.state](branch.state),
      branch.createdAt ? age(branch.createdAt, now) : '',
      branch.message + drift,
    ]);
    for (const [index, inner] of branch.branches.entries()) {
      const isLast = index === branch.branches.length - 1;
      visit(inner, `${tail}${isLast ? '└─ ' : '├─ '}`, `${tail}${isLast ? '   ' : '│  '}`);
    }
  };
  for (const root of roots) visit(root, '', '');
  return {
    data: roots,
    names,
    text: () => (rows.length === 0 ? 'No Instances.\n' : table(['OBJECT', 'STATE', 'AGE', 'MESSAGE'], rows)),
  };
}
