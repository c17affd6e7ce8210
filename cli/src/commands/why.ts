import {
  type BlueprintObject,
  type InstanceObject,
  problemLines,
  type TenantObject,
  tenantNamespace,
} from '@felucca/contract';
import { conditionOf } from '../facts/conditions.ts';
import { instanceFacts } from '../facts/instance.ts';
import { isHeld } from '../facts/ownership.ts';
import { platformFacts } from '../facts/platform.ts';
import { EXIT, Failure } from '../failure.ts';
import { ifAllowed } from '../kube/errors.ts';
import { findInstance } from '../kube/find-instance.ts';
import { age } from '../show/age.ts';
import { type Answer, show } from '../show/output.ts';
import type { Paint } from '../show/paint.ts';
import { table } from '../show/table.ts';
import { walkBlueprint } from '../why/blueprint.ts';
import type { Finding, Hop } from '../why/finding.ts';
import { walkTenant } from '../why/tenant.ts';
import { type Walk, walk } from '../why/walk.ts';
import type { Context } from './context.ts';

type Explained = InstanceObject | BlueprintObject | TenantObject;

const WITH_KIND = /^(blueprint|tenant)s?(?:\.felucca\.dev)?\/(.+)$/;

/** Exit code 1 when something is not as it should be. */
export async function whyCommand(context: Context, name: string): Promise<number> {
  const now = context.terminal.now();
  const [, kind, own = ''] = WITH_KIND.exec(name) ?? [];
  const [object, walked] = await explain(context, kind, kind ? own : name, now);
  await show(context.terminal, context.format, whyAnswer(object, walked, context.paint, now));
  return walked.finding ? EXIT.wrong : EXIT.ok;
}

async function explain(
  context: Context,
  kind: string | undefined,
  name: string,
  now: Date,
): Promise<[Explained, Walk]> {
  const { kube, operatorNamespace } = context;
  if (kind === undefined) {
    const instance = await findInstance(kube, name, context.namespace);
    return [instance, walk(await instanceFacts(kube, instance, operatorNamespace, now))];
  }
  const platform = platformFacts(kube, operatorNamespace);
  if (kind === 'blueprint') {
    const hint = 'the name ends with the version, as in postgres-1-0-0';
    const [blueprint, facts] = await Promise.all([
      found<BlueprintObject>(context, 'Blueprint', name, hint),
      platform,
    ]);
    return [blueprint, walkBlueprint(blueprint, facts, now)];
  }
  const hint = 'an organization has one once something is ordered for it here';
  const [tenant, facts, instances] = await Promise.all([
    found<TenantObject>(context, 'Tenant', name, hint),
    platform,
    ifAllowed(kube.list<InstanceObject>('Instance', tenantNamespace(name))),
  ]);
  return [tenant, walkTenant(tenant, facts, now, instances)];
}

/** What is there once on a cluster. @throws Failure with the hint when it is not there */
async function found<T extends BlueprintObject | TenantObject>(
  { kube }: Context,
  kind: 'Blueprint' | 'Tenant',
  name: string,
  hint: string,
): Promise<T> {
  const object = await kube.get<T>(kind, undefined, name);
  if (object) return object;
  throw new Failure(
    `${kind} ${name} is not on this cluster`,
    `kubectl get ${kind.toLowerCase()}s lists those that are; ${hint}`,
  );
}

export function whyAnswer(object: Explained, walked: Walk, paint: Paint, now: Date): Answer {
  const { name, namespace } = object.metadata;
  const { finding, steps } = walked;
  const kind = object.kind.toLowerCase();
  const path = namespace === undefined ? name : `${namespace}/${name}`;
  return {
    data: {
      [kind]: path,
      ok: finding === undefined,
      hops: steps.map(({ name: hop, hop: { state, note } }) => ({ hop, state, note })),
      ...(finding ? { finding } : {}),
    },
    names: [`${kind}.felucca.dev/${name}`],
    text: () =>
      [
        `${paint.strong(`${object.kind} ${path}`)} ${headline(object, walked, now)}\n`,
        table(
          [],
          steps.map(({ name: step, hop }) => [`${mark(hop, paint)} ${step}`, hop.note]),
        ),
        ...(finding ? [findingText(finding, paint, now)] : []),
      ].join('\n'),
  };
}

function headline(object: Explained, { finding, steps }: Walk, now: Date): string {
  const ready = conditionOf(object, 'Ready');
  // A status is as old as the last look of an operator; this the API server says itself.
  const { deletionTimestamp } = object.metadata;
  if (deletionTimestamp) return `is being deleted (for ${age(deletionTimestamp, now)})`;
  const since = ready ? ` (for ${age(ready.lastTransitionTime, now)})` : '';
  // The time is that of the status: the reason may have been another one for a part of it.
  const said =
    ready?.status === 'True'
      ? `is Ready${since}`
      : `is not Ready${since}: ${ready?.reason ?? 'no status yet'}`;
  const isHeldObject = object.kind !== 'Blueprint' && isHeld(object as InstanceObject | TenantObject);
  if (finding) return `${said}${isHeldObject ? ', and its deletion is held' : ''}`;
  return `${said}; ${wellText(steps)}`;
}

function wellText(steps: Walk['steps']): string {
  const count = (state: Hop['state']): number => steps.filter(({ hop }) => hop.state === state).length;
  const hops = (of: number): string => (of === 1 ? '1 hop is' : `${of} hops are`);
  const [hidden, untold] = [count('unknown'), count('untold')];
  if (hidden > 0) return `what you may see is as it should be, ${hops(hidden)} hidden from you`;
  return untold > 0
    ? `what is known is as it should be, ${hops(untold)} not known yet`
    : 'all is as it should be';
}

function mark(hop: Hop, paint: Paint): string {
  if (hop.state === 'ok') return paint.good('✓');
  if (hop.state === 'failed') return paint.bad('✗');
  return paint.dim(hop.state === 'skipped' ? '·' : '?');
}

function findingText(finding: Finding, paint: Paint, now: Date): string {
  const whats = problemLines(finding.what);
  const rows: [string, string | undefined][] = [
    ...(whats.length === 1
      ? [['What', `${finding.object}: ${finding.what}`] as [string, string]]
      : [finding.object, ...whats].map((line, index): [string, string] => [index === 0 ? 'What' : '', line])),
    ['Why', finding.why],
    ['Do', finding.remedy],
    ['Also', finding.also],
    ['Who', finding.audience && WHO[finding.audience]],
    ['Runbook', finding.runbook && `docs/runbooks/${finding.runbook}.md`],
    ...finding.look.map((command, index): [string, string] => [index === 0 ? 'Look' : '', command]),
    ...finding.events.map((event, index): [string, string] => [
      index === 0 ? 'Events' : '',
      `${age(event.at, now)} ago  ${event.object}  ${event.reason}: ${event.message}`,
    ]),
  ];
  return table(
    [],
    rows.flatMap(([title, text]) => (text ? [[paint.strong(title), text]] : [])),
  );
}

const WHO = {
  tenant: 'the tenant: whoever ordered the Instance',
  operator: 'the platform: whoever runs this cluster or wrote the Blueprint',
} as const;
