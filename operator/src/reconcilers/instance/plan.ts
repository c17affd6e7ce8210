import {
  ANNOTATIONS,
  type BlueprintNode,
  type ChildChange,
  changedBy,
  changeOf,
  type DesiredChild,
  FIELD_MANAGERS,
  type FieldDifference,
  fixedChange,
  type InventoryEntry,
  isRecord,
  isStillOwned,
  keepClaimTemplates,
  liveWithDesired,
  MAX_CHILDREN,
  madeByOthers,
  ownedDifferences,
  type PlannedChild,
  pointer,
  policyFor,
  whyForeign,
} from '@felucca/contract';
import type { LiveObject } from '../cluster.ts';

/** One child that the Blueprint asks for against what is in the cluster. */
export interface NodeFacts extends PlannedChild {
  /** Absent when it waits for a field. */
  desired?: DesiredChild;
  waitingFor?: string;
  live?: LiveObject;
  /** `live` comes from a quorum read, so it may be acted upon. */
  verified: boolean;
  /** This, and nothing else since, was applied a while ago: another hash is by somebody else, or by another operator. */
  wasApplied?: boolean;
  /** A person has said that lost generated values may be replaced. */
  mayRegenerate?: boolean;
  /** The API server's words, when it refused a write because a field can't change. */
  immutable?: string;
}

export interface DriftFinding extends FieldDifference {
  kind: string;
  name: string;
  policy: 'correct' | 'report';
}

export interface ApplyStep {
  facts: NodeFacts;
  object: DesiredChild['object'];
  reason: 'create' | 'update' | 'repair';
  effect: ChildChange['effect'];
}

/** A child that goes so that another one can take its name. */
export interface ReplaceStep {
  facts: NodeFacts;
  live: LiveObject;
  change: ChildChange;
}

export interface InstancePlan {
  /** Complete inventory: what is wanted, and what is left over until it is gone. In wave order. */
  inventory: InventoryEntry[];
  apply: ApplyStep[];
  replace: ReplaceStep[];
  /** Changes that can't be made, with what to do instead; the child stays as it is. */
  refused: { reason: 'ChangeImpossible' | 'ReplaceRefused'; message: string }[];
  /** Left over: in the inventory, no longer in the Blueprint with these parameters. */
  remove: InventoryEntry[];
  drift: DriftFinding[];
  /** Nodes whose name is taken by an object that is not ours. */
  conflicts: { facts: NodeFacts; why: string }[];
  waiting: { name: string; node: string; field: string }[];
  /** Secrets that have lost what was generated into them: another value would lock people out. */
  lost: { facts: NodeFacts; keys: string[] }[];
  /** Nodes about which the cache is not enough to act. */
  unverified: NodeFacts[];
}

export const APPLIED_HASH = pointer('', 'metadata', 'annotations', ANNOTATIONS.appliedHash);
/** Goes with the write that changes a child, and is never a reason for one. */
const CHANGED_AT = pointer('', 'metadata', 'annotations', ANNOTATIONS.changedAt);

/** What to do about an Instance's children. Pure: the same facts give the same plan. */
export function planInstance(
  instanceUid: string,
  inventory: readonly InventoryEntry[],
  nodes: readonly NodeFacts[],
): InstancePlan {
  const plan: InstancePlan = {
    inventory: [],
    apply: [],
    replace: [],
    refused: [],
    remove: [],
    drift: [],
    conflicts: [],
    waiting: [],
    lost: [],
    unverified: [],
  };
  plan.remove = inventory.filter((entry) => !nodes.some((facts) => isEntryOf(entry, facts)));
  plan.inventory.push(...plan.remove);
  let room = MAX_CHILDREN - inventory.length;
  for (const facts of nodes) {
    const known = inventory.find((entry) => isEntryOf(entry, facts));
    if (!known && room <= 0) {
      const field = `the ${plan.remove.length} children that are on their way out`;
      plan.waiting.push({ name: facts.name, node: facts.compiled.node.id, field });
      continue;
    }
    if (!known) room -= 1;
    planNode(plan, facts, known, instanceUid);
    // Without its UID: when it is gone, that was us and no drift.
    const isReplaced = plan.replace.some((step) => step.facts === facts);
    plan.inventory.push(entryFor(facts, isReplaced ? undefined : known));
  }
  plan.inventory.sort((a, b) => a.wave - b.wave);
  return plan;
}

function planNode(
  plan: InstancePlan,
  facts: NodeFacts,
  known: InventoryEntry | undefined,
  instanceUid: string,
): void {
  const { desired, live, compiled } = facts;
  if (facts.waitingFor !== undefined) {
    plan.waiting.push({ name: facts.name, node: compiled.node.id, field: facts.waitingFor });
    return;
  }
  if (!desired) return;
  if (!live) {
    // It was there once, as a status or our own memory says. One that never was is created or refused: no read is needed
    // to be sure.
    if ((known?.uid || facts.wasApplied) && !facts.verified) {
      plan.unverified.push(facts);
      return;
    }
    if (isLost(plan, facts, known?.uid ? generatedKeys(facts) : [])) return;
    // An entry with a UID existed: somebody else deleted it, and nobody has settled that yet.
    const isDrift = known?.uid !== undefined && !facts.mayRegenerate;
    if (isDrift) plan.drift.push(missingChild(facts));
    const reason = isDrift ? 'repair' : 'create';
    plan.apply.push({ facts, object: desired.object, reason, effect: 'create' });
    return;
  }
  const why = whyForeign(live, desired.object, known, instanceUid);
  if (why !== undefined) {
    plan.conflicts.push({ facts, why });
    return;
  }
  // It goes first; the event of its end brings us back.
  if (live.metadata.deletionTimestamp) return;
  const isOurs = (path: string): boolean =>
    isStillOwned(live.metadata.managedFields, path, FIELD_MANAGERS.reconciler, desired.object);
  const sameDesire = isApplied(live, desired.hash) || (facts.wasApplied && !isOurs(APPLIED_HASH));
  // Under another hash the Blueprint may have a new key, which was never there.
  const missing = sameDesire ? missingKeys(facts, live) : [];
  if (isLost(plan, facts, missing)) return;
  const object = keepClaimTemplates(desired.object, live);
  const differences = ownedDifferences(object, live).filter(
    ({ path }) => path !== CHANGED_AT && policyFor(compiled.node, path) !== 'ignore',
  );
  if (sameDesire && differences.length === 0) return;
  // What we want has changed, or a person wants new values: an update, which needs a second look only for who else has
  // written an ignored field.
  if (!sameDesire || missing.length > 0) {
    if (!facts.verified && ignoredDifferences(object, live, compiled.node).length > 0) {
      plan.unverified.push(facts);
      return;
    }
    planChange(plan, facts, live, keepIgnored(object, live, compiled.node), 'update');
    return;
  }
  if (!facts.verified) {
    plan.unverified.push(facts);
    return;
  }
  const foreign = differences.filter(({ path }) => !isOurs(path));
  const findings = foreign.map(
    (difference): DriftFinding => ({
      ...difference,
      kind: compiled.kind,
      name: facts.name,
      policy: policyFor(compiled.node, difference.path) === 'report' ? 'report' : 'correct',
    }),
  );
  const isRepaired =
    findings.some((finding) => finding.policy === 'correct') &&
    planChange(plan, facts, live, keepReported(keepIgnored(object, live, compiled.node), findings), 'repair');
  plan.drift.push(
    ...findings.map((finding) => (isRepaired ? finding : { ...finding, policy: 'report' as const })),
  );
}

/** Onto a child that exists: applied, or what its fixed fields ask for instead. False when it is refused. */
function planChange(
  plan: InstancePlan,
  facts: NodeFacts,
  live: LiveObject,
  object: DesiredChild['object'],
  reason: ApplyStep['reason'],
): boolean {
  const { node } = facts.compiled;
  const change = facts.immutable
    ? fixedChange(node, object, [], `the API server says "${facts.immutable}"`)
    : changeOf(node, live, object, liveWithDesired);
  if (change.refusal !== undefined)
    plan.refused.push({
      reason: change.effect === 'impossible' ? 'ChangeImpossible' : 'ReplaceRefused',
      message: change.refusal,
    });
  else if (change.effect !== 'replace') plan.apply.push({ facts, object, reason, effect: change.effect });
  else if (reason === 'repair')
    // Whoever made it would make it again: no fight is begun by deleting.
    plan.refused.push({
      reason: 'ReplaceRefused',
      message: madeByOthers(`${object.kind}/${facts.name}`, change.fields),
    });
  else if (facts.verified) plan.replace.push({ facts, live, change });
  else plan.unverified.push(facts);
  return change.refusal === undefined && !(change.effect === 'replace' && reason === 'repair');
}

const generatedKeys = ({ compiled }: PlannedChild): string[] =>
  (compiled.node.generate ?? []).map(({ key }) => key);

/** Generated values that the Secret does not have. */
export const missingKeys = (child: PlannedChild, live: LiveObject): string[] =>
  generatedKeys(child).filter((key) => !isRecord(live.data) || !live.data[key]);

function isLost(plan: InstancePlan, facts: NodeFacts, keys: string[]): boolean {
  if (keys.length === 0 || facts.mayRegenerate) return false;
  plan.lost.push({ facts, keys });
  return true;
}

const missingChild = (facts: NodeFacts): DriftFinding => ({
  kind: facts.compiled.kind,
  name: facts.name,
  path: '',
  expected: 'exists',
  actual: 'deleted',
  policy: 'correct',
});

const entryFor = (facts: NodeFacts, known: InventoryEntry | undefined): InventoryEntry => ({
  node: facts.compiled.node.id,
  ...(facts.each ? { key: facts.each.key } : {}),
  apiVersion: facts.compiled.apiVersion,
  kind: facts.compiled.kind,
  name: facts.name,
  ...(known?.uid ? { uid: known.uid } : {}),
  wave: facts.compiled.wave,
  onDelete: facts.compiled.node.onDelete ?? 'Delete',
});

const isEntryOf = (entry: InventoryEntry, facts: NodeFacts): boolean =>
  entry.kind === facts.compiled.kind &&
  entry.apiVersion === facts.compiled.apiVersion &&
  entry.name === facts.name;

export const isApplied = (live: LiveObject, hash: string): boolean =>
  live.metadata.annotations?.[ANNOTATIONS.appliedHash] === hash;

/**
 * A field that somebody else may change, and has, keeps its live value when we apply for another reason. Leaving it out
 * would give it up, and the API server would then remove or default it. One that nobody else has written is ours to
 * change.
 */
function keepIgnored(
  object: DesiredChild['object'],
  live: LiveObject,
  node: BlueprintNode,
): DesiredChild['object'] {
  const kept = ignoredDifferences(object, live, node).filter(
    ({ path }) =>
      changedBy(live.metadata.managedFields, path, FIELD_MANAGERS.reconciler, object) !== undefined,
  );
  return withValues(object, kept);
}

const ignoredDifferences = (
  object: DesiredChild['object'],
  live: LiveObject,
  node: BlueprintNode,
): FieldDifference[] =>
  ownedDifferences(object, live).filter(
    (difference) =>
      policyFor(node, difference.path) === 'ignore' &&
      difference.actual !== undefined &&
      // Suspend and resume are ours: they win over whoever scales.
      !(difference.path === '/spec/replicas' && (difference.expected === 0 || difference.actual === 0)),
  );

/** When one field of a child is repaired, the reported ones beside it stay as they are. */
const keepReported = (
  object: DesiredChild['object'],
  findings: readonly DriftFinding[],
): DesiredChild['object'] =>
  withValues(
    object,
    findings.filter((finding) => finding.policy === 'report' && finding.actual !== undefined),
  );

function withValues(
  object: DesiredChild['object'],
  differences: readonly FieldDifference[],
): DesiredChild['object'] {
  if (differences.length === 0) return object;
  const copy = structuredClone(object);
  for (const { path, actual } of differences) {
    const segments = path.slice(1).split('/');
    const last = segments.pop();
    let parent: unknown = copy;
    for (const segment of segments)
      parent = (parent as Record<string, unknown> | undefined)?.[decode(segment)];
    if (last !== undefined && parent) (parent as Record<string, unknown>)[decode(last)] = actual;
  }
  return copy;
}
const decode = (segment: string): string => segment.replaceAll('~1', '/').replaceAll('~0', '~');
