import {
  ANNOTATIONS,
  type BlueprintNode,
  type CompiledBlueprint,
  type DesiredChild,
  type DriftRecord,
  desiredChild,
  FIELD_MANAGERS,
  type InstanceObject,
  type InventoryEntry,
  instanceScope,
  type KubeObject,
  type PlannedChild,
  POD_TEMPLATE_PATH,
  renderChild,
  type Scope,
} from '@felucca/contract';
import { allEnded } from '../all-ended.ts';
import { ClusterError, type LiveObject, refOf } from '../cluster.ts';
import { withChangeTime } from './changed-at.ts';
import type { InstanceContext } from './context.ts';
import { driftRecord, isKnown } from './drift-record.ts';
import { withGeneratedValues } from './generated-values.ts';
import { isImmutableRefusal } from './immutable-refusal.ts';
import {
  type ApplyStep,
  type DriftFinding,
  type InstancePlan,
  type NodeFacts,
  planInstance,
  type ReplaceStep,
} from './plan.ts';
import { replaceLists } from './replace-lists.ts';
import { requireCurrent } from './still-current.ts';
import { withoutSecrets } from './without-secrets.ts';

/** The Instance with everything that was needed to plan it. */
export interface Subject {
  instance: InstanceObject;
  blueprint: CompiledBlueprint;
  parameters: Record<string, unknown>;
  /** The same with their sensitive values: what Secrets are made of. */
  opened: Record<string, unknown>;
  /** Every child that should be there. */
  children: readonly PlannedChild[];
  inventory: InventoryEntry[];
}

export interface Settled {
  plan: InstancePlan;
  scope: Scope;
  /** What each child should be, by name; undefined while it waits for a field. */
  wanted: ReadonlyMap<string, KubeObject | undefined>;
  /** Newest known child by name. */
  live: ReadonlyMap<string, LiveObject>;
  drift: DriftRecord[];
  /** Refused by the API server: schema, admission, quota or rights. */
  rejected: { object: string; message: string }[];
  conflicts: { object: string; why: string }[];
  /** A fight with another controller: repairs wait so long. */
  throttledMs: number;
  throttled: DriftRecord[];
}

/** Rounds of render → plan → act: one per wave of references, plus looks behind the cache. Bounded. */
const MAX_ROUNDS = 40;

/** Brings the children to what the Blueprint says, as far as that is possible now. */
export async function settleChildren(
  context: InstanceContext,
  subject: Subject,
  writeAhead: (inventory: InventoryEntry[], drift: readonly DriftRecord[]) => Promise<void>,
): Promise<Settled> {
  const children = new ChildSet(context, subject);
  const result = { drift: [], rejected: [], conflicts: [], throttledMs: 0, throttled: [] } as Omit<
    Settled,
    'plan' | 'scope' | 'wanted' | 'live'
  >;
  const attempted = new Set<string>();
  const replaced = new Set<string>();
  let { inventory } = subject;
  const recorded = new Set<string>();
  // Asked once per child and reconcile: every yes counts as a repair.
  const held = new Map<string, boolean>();
  const isHeld = (step: ApplyStep): boolean => {
    const { name } = step.facts;
    const answer = held.get(name) ?? isThrottled(context, subject, step, result);
    held.set(name, answer);
    return answer;
  };
  for (let round = 0; ; round += 1) {
    const scope = children.scope();
    const facts = children.facts(scope);
    const plan = planInstance(subject.instance.metadata.uid ?? '', inventory, facts);
    if (plan.unverified.length > 0 && round < MAX_ROUNDS) {
      await children.verify(plan.unverified);
      continue;
    }
    for (const finding of plan.drift) {
      const key = `${finding.name}${finding.path}`;
      if (recorded.has(key)) continue;
      recorded.add(key);
      await recordDrift(context, subject, children, finding, result);
    }
    const steps = plan.apply.filter((step) => !attempted.has(step.facts.name) && !isHeld(step));
    const replacements = plan.replace.filter((step) => !replaced.has(step.facts.name));
    if ((steps.length === 0 && replacements.length === 0) || round >= MAX_ROUNDS) {
      result.conflicts.push(
        ...plan.conflicts.map(({ facts, why }) => ({
          object: `${facts.compiled.kind}/${facts.name}`,
          why,
        })),
      );
      const wanted = new Map(facts.map(({ name, desired }) => [name, desired?.object]));
      return { ...result, plan, scope, wanted, live: children.live() };
    }
    await writeAhead(plan.inventory, result.drift);
    inventory = plan.inventory;
    // The lowest wave only: what comes later may read what is applied now.
    const wave = Math.min(...[...steps, ...replacements].map((step) => step.facts.compiled.wave));
    const isNow = (step: { facts: NodeFacts }): boolean => step.facts.compiled.wave === wave;
    const now = steps.filter(isNow);
    for (const step of now) attempted.add(step.facts.name);
    const taken = await allEnded(now.map((step) => applyStep(context, subject, children, step, result)));
    const unknown = taken.filter((facts) => facts !== undefined);
    for (const { name } of unknown) attempted.delete(name);
    await children.verify(unknown);
    const replacing = replacements.filter(isNow);
    if (replacing.length > 0) await requireCurrent(context, subject.instance);
    for (const step of replacing) {
      replaced.add(step.facts.name);
      // What was refused may be tried on the new object.
      attempted.delete(step.facts.name);
      await removeReplaced(context, subject.instance, step);
      await children.verify([step.facts]);
    }
  }
}

/** Children by name: from the watch, our own writes and, where the cache is not enough, from a read. */
class ChildSet {
  readonly #context: InstanceContext;
  readonly #subject: Subject;
  readonly #live = new Map<string, LiveObject>();
  readonly #verified = new Set<string>();
  /** Children that read no other: whatever happens to those, they stay as they are rendered first. */
  readonly #rendered = new Map<string, DesiredChild>();
  readonly #immutable = new Map<string, string>();

  constructor(context: InstanceContext, subject: Subject) {
    this.#context = context;
    this.#subject = subject;
    const cached = new Map<string, LiveObject>();
    for (const object of context.children(subject.instance.metadata.uid ?? ''))
      cached.set(`${object.kind}/${object.metadata.name}`, object);
    for (const { compiled, name } of subject.children) {
      const object = cached.get(`${compiled.kind}/${name}`);
      if (object) this.#live.set(name, object);
    }
  }

  scope(): Scope {
    const { instance, blueprint, parameters, children, opened } = this.#subject;
    return instanceScope(instance, blueprint, parameters, children, this.#live, opened);
  }

  facts(scope: Scope): NodeFacts[] {
    return this.#subject.children.map((child) => {
      const { compiled, name } = child;
      const live = this.#live.get(name);
      const immutable = this.#immutable.get(name);
      const facts: NodeFacts = {
        ...child,
        verified: this.#verified.has(name),
        mayRegenerate: this.#subject.instance.metadata.annotations?.[ANNOTATIONS.regenerate] === name,
        ...(live ? { live } : {}),
        ...(immutable ? { immutable } : {}),
      };
      const desired = this.#rendered.get(name) ?? this.#render(child, scope);
      if ('waitingFor' in desired) return { ...facts, waitingFor: desired.waitingFor };
      const wasApplied = this.#context.applied.isLast(childKey(this.#subject.instance, child), desired.hash);
      // Secrets are not watched: without a read we would not know the generated values.
      const isUnread = compiled.kind === 'Secret' && !facts.verified;
      return {
        ...facts,
        wasApplied,
        desired: this.#completed(desired, compiled.node, isUnread ? undefined : live),
      };
    });
  }

  #render(child: PlannedChild, scope: Scope): DesiredChild | { waitingFor: string } {
    const rendered = renderChild(child, scope);
    if ('waitingFor' in rendered) return rendered;
    const desired = desiredChild(rendered.object, child, this.#subject.instance, rendered.marked);
    if (child.compiled.dependsOn.size === 0) this.#rendered.set(child.name, desired);
    return desired;
  }

  /** With what the live child decides. */
  #completed(desired: DesiredChild, node: BlueprintNode, live: LiveObject | undefined): DesiredChild {
    return withGeneratedValues(withChangeTime(desired, node, live, this.#context.clock()), node, live);
  }

  async verify(nodes: readonly NodeFacts[]): Promise<void> {
    await Promise.all(
      nodes.map(async ({ compiled, name }) => {
        const namespace = this.#subject.instance.metadata.namespace ?? '';
        const { apiVersion, kind } = compiled;
        const live = await this.#context.cluster.read({ apiVersion, kind, namespace, name });
        this.#verified.add(name);
        if (live) this.#live.set(name, live);
        else {
          this.#live.delete(name);
          this.#immutable.delete(name);
        }
      }),
    );
  }

  /** Only the API server knew that a field can't change: planned again, with its words. */
  refusedAsImmutable(name: string, message: string): void {
    this.#immutable.set(name, message);
  }

  applied(name: string, object: LiveObject): void {
    this.#live.set(name, object);
    this.#verified.add(name);
  }

  live(): ReadonlyMap<string, LiveObject> {
    return this.#live;
  }
}

async function recordDrift(
  context: InstanceContext,
  subject: Subject,
  children: ChildSet,
  finding: DriftFinding,
  result: Pick<Settled, 'drift'>,
): Promise<void> {
  const { instance } = subject;
  const live = children.live().get(finding.name);
  const action = finding.policy === 'report' ? 'reported' : 'corrected';
  const desired = live ? renderedFor(children, finding.name) : undefined;
  const { record, changedAt } = driftRecord(finding, live, desired, action, context.clock());
  noteDrift(context, instance, result, record, changedAt);
}

/** To be told with the next status, unless an earlier one has told it. */
export function noteDrift(
  context: InstanceContext,
  instance: InstanceObject,
  { drift }: Pick<Settled, 'drift'>,
  record: DriftRecord,
  changedAt?: string,
): void {
  if (isKnown(record, instance.status?.drift ?? [], changedAt)) return;
  drift.push(record);
  const [kind = ''] = record.object.split('/', 1);
  context.metrics.driftDetected(kind);
}

const renderedFor = (children: ChildSet, name: string): unknown =>
  children.facts(children.scope()).find((facts) => facts.name === name)?.desired?.object;

function isThrottled(
  context: InstanceContext,
  { instance }: Subject,
  step: ApplyStep,
  result: Pick<Settled, 'drift' | 'throttledMs' | 'throttled'>,
): boolean {
  // Whatever brought it back: what was applied already is no news.
  if (step.reason !== 'repair' && !step.facts.wasApplied) return false;
  const { kind } = step.facts.compiled;
  const waitMs = context.throttle.take(childKey(instance, step.facts));
  if (waitMs === 0) return false;
  context.metrics.repairThrottled();
  result.throttledMs = Math.max(result.throttledMs, waitMs);
  result.throttled.push(...onlyReported(instance, `${kind}/${step.facts.name}`, result));
  return true;
}

const childKey = (instance: InstanceObject, { compiled, name }: PlannedChild): string =>
  `${instance.metadata.uid}/${compiled.kind}/${name}`;

/** The repair of this object was not made: its drift lasts. */
function onlyReported(
  instance: InstanceObject,
  object: string,
  result: Pick<Settled, 'drift'>,
): DriftRecord[] {
  const mine = result.drift.filter((record) => record.object === object && record.action === 'corrected');
  for (const record of mine) record.action = 'reported';
  const known = instance.status?.drift ?? [];
  result.drift = result.drift.filter((record) => !mine.includes(record) || !isKnown(record, known));
  return mine;
}

/** Returns the facts of a node whose name turned out to be taken: by whom, only a read can tell. */
async function applyStep(
  context: InstanceContext,
  { instance }: Subject,
  children: ChildSet,
  step: ApplyStep,
  result: Pick<Settled, 'rejected' | 'drift'>,
): Promise<NodeFacts | undefined> {
  const { facts, object, reason, effect } = step;
  const name = `${facts.compiled.kind}/${facts.name}`;
  try {
    const live = await applied(context.cluster, facts.live, object);
    children.applied(facts.name, live);
    context.applied.applied(childKey(instance, facts), facts.desired?.hash ?? '');
    context.metrics.childChanged(effect);
    if (reason === 'repair') context.metrics.driftRepaired();
  } catch (thrown) {
    if (!(thrown instanceof ClusterError)) throw thrown;
    const error = withoutSecrets(thrown, object);
    if (error.status === 409 && !facts.live && !facts.verified) return facts;
    if (facts.live && isImmutableRefusal(error))
      children.refusedAsImmutable(facts.name, (error.message.split('\n', 1)[0] ?? '').slice(0, 500));
    else if ([400, 403, 404, 405, 413, 415, 422].includes(error.status) || isSchemaRefusal(error)) {
      result.rejected.push({ object: name, message: error.message });
      onlyReported(instance, name, result);
    } else throw error;
  }
  return undefined;
}

async function applied(
  cluster: InstanceContext['cluster'],
  live: LiveObject | undefined,
  object: ApplyStep['object'],
): Promise<LiveObject> {
  const apply = (): Promise<LiveObject> =>
    cluster.apply(live ? onlyThis(object, live) : onlyIfNew(object), { manager: FIELD_MANAGERS.reconciler });
  try {
    return await apply();
  } catch (error) {
    const isInvalid = error instanceof ClusterError && error.status === 422 && !isImmutableRefusal(error);
    if (!isInvalid || !live || !(await replaceLists(cluster, live, object))) throw error;
    return apply();
  }
}

/** Announced, and by UID of what a quorum read showed: a kill on either side of it loses and makes nothing twice. */
async function removeReplaced(
  context: InstanceContext,
  instance: InstanceObject,
  { facts, live, change }: ReplaceStep,
): Promise<void> {
  const { kind } = facts.compiled;
  await context.cluster.remove(
    refOf(live),
    live.metadata.uid ?? '',
    POD_TEMPLATE_PATH[kind] ? 'Foreground' : 'Background',
  );
  context.metrics.childChanged('replace');
  const why = change.fields.slice(0, 3).join(', ') || facts.immutable;
  context.emit(instance, {
    type: 'Normal',
    reason: 'ChildReplaced',
    message: `${kind}/${facts.name} is deleted and made anew, as its Blueprint allows: ${why} cannot change`,
  });
}

/** Fields that the kind does not have, or of another type: server-side apply answers 500, and no retry helps. */
const isSchemaRefusal = (error: ClusterError): boolean =>
  error.status === 500 && /failed to (create typed|convert new) .*object/.test(error.message);

/** With the UID as a precondition an apply cannot bring back an object that was replaced meanwhile. */
const onlyThis = (
  object: ApplyStep['object'],
  { metadata: { uid = '' } }: LiveObject,
): ApplyStep['object'] => ({
  ...object,
  metadata: { ...object.metadata, uid },
});

/**
 * No object ever has version 1, the empty etcd's: this apply creates, or is refused because the name is taken. Nobody
 * can come in between, as after a read, and a new Instance costs no reads at all.
 */
const onlyIfNew = (object: ApplyStep['object']): ApplyStep['object'] => ({
  ...object,
  metadata: { ...object.metadata, resourceVersion: '1' },
});
