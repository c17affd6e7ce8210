import {
  ANNOTATIONS,
  type ChildChange,
  type Compare,
  changedBy,
  changeOf,
  type DriftPolicy,
  desiredChild,
  ExpressionProblem,
  FIELD_MANAGERS,
  type FieldDifference,
  type InstanceObject,
  type InventoryEntry,
  instanceScope,
  isSecretValue,
  isStillOwned,
  keepClaimTemplates,
  type LiveObject,
  liveWithDesired,
  madeByOthers,
  outlives,
  ownedDifferences,
  type PlannedChild,
  pointer,
  policyFor,
  policyOf,
  renderChild,
  whyForeign,
} from '@felucca/contract';
import { conditionOf, isHandled } from '../facts/conditions.ts';
import type { Product } from '../facts/product.ts';
import { isSeen, type Seen, seenValue } from '../kube/errors.ts';

/** One owned field that is not as desired. */
export interface FieldLine extends FieldDifference {
  /** Who changed it, as far as managedFields tell. */
  manager?: string;
  at?: string;
  /** What the operator does about it. */
  policy: DriftPolicy;
}

export interface ChildDifference {
  /** `<Kind>/<name>` */
  object: string;
  state:
    | 'same'
    | 'left alone'
    | 'differs'
    | 'missing'
    | 'waiting'
    | 'foreign'
    | 'hidden'
    | 'left over'
    /** Of an Instance on its way out: nothing is desired of its children any more. */
    | 'leaving';
  note: string;
  /** Why the operator does not bring it to what is desired, and what to do. */
  refusal?: string;
  /** It is changed again and again, and not set back for a while. */
  isPaused?: boolean;
  fields: FieldLine[];
}

/** What its Blueprint leaves alone is as desired whatever it is; of what is hidden nobody can say that it is not. */
export const isDifference = ({ state }: ChildDifference): boolean => !NO_DIFFERENCE.includes(state);
const NO_DIFFERENCE: readonly ChildDifference['state'][] = ['same', 'left alone', 'hidden', 'leaving'];

/** What is live, by name, as far as it may be seen. */
export type LiveChildren = ReadonlyMap<string, Seen<LiveObject | undefined>>;

/** Desired, as the operator renders it, against live; only fields that the operator owns. Pure. */
export function differences(
  instance: InstanceObject,
  product: Product,
  inventory: readonly InventoryEntry[],
  live: LiveChildren,
): ChildDifference[] {
  const found = new Map(
    [...live].flatMap(([name, seen]): [string, LiveObject][] => {
      const object = seenValue(seen);
      return object ? [[name, object]] : [];
    }),
  );
  const scope = instanceScope(instance, product.compiled, product.parameters, product.planned, found);
  const wanted = product.planned.map((planned): ChildDifference => {
    const object = `${planned.compiled.kind}/${planned.name}`;
    const line = (state: ChildDifference['state'], note: string): ChildDifference => ({
      object,
      state,
      note,
      fields: [],
    });
    try {
      const rendered = renderChild(planned, scope);
      if ('waitingFor' in rendered) return line('waiting', `it waits for ${rendered.waitingFor}`);
      const seen = live.get(planned.name) ?? { value: undefined };
      if (!isSeen(seen)) return line('hidden', 'you may not read it');
      if (!seen.value) return line('missing', 'it does not exist');
      const { object } = desiredChild(rendered.object, planned, instance);
      const why = whyForeign(seen.value, object, entryOf(inventory, planned), instance.metadata.uid ?? '');
      if (why !== undefined) return line('foreign', `another object has the name: ${why}`);
      return against(instance, seen.value, keepClaimTemplates(object, seen.value), planned);
    } catch (error) {
      if (!(error instanceof ExpressionProblem)) throw error;
      return line('waiting', `${error.message}; ${error.remedy}`);
    }
  });
  const names = new Set(product.planned.map(({ name, compiled }) => `${compiled.kind}/${name}`));
  const leftOver = inventory
    .map((entry) => `${entry.kind}/${entry.name}`)
    .filter((object) => !names.has(object))
    .map(
      (object): ChildDifference => ({
        object,
        state: 'left over',
        note: 'no longer wanted; it is being removed',
        fields: [],
      }),
    );
  return [...wanted, ...leftOver];
}

/** What becomes of the children of an Instance on its way out. */
export const leaving = (
  { spec }: InstanceObject,
  inventory: readonly InventoryEntry[],
  live: LiveChildren,
): ChildDifference[] =>
  inventory.map((entry): ChildDifference => {
    const object = `${entry.kind}/${entry.name}`;
    const seen = live.get(entry.name) ?? { value: undefined };
    if (!isSeen(seen)) return { object, state: 'hidden', note: 'you may not read it', fields: [] };
    const note = !seen.value
      ? 'it is gone'
      : seen.value.metadata.deletionTimestamp
        ? 'it is being deleted'
        : outlives(entry, policyOf(spec))
          ? 'it stays'
          : 'it is deleted when those before it are gone';
    return { object, state: 'leaving', note, fields: [] };
  });

/** What the inventory has of a child. */
export const entryOf = (
  inventory: readonly InventoryEntry[],
  { name, compiled }: PlannedChild,
): InventoryEntry | undefined =>
  inventory.find((entry) => entry.name === name && entry.kind === compiled.kind);

const HASH = pointer('/metadata/annotations', ANNOTATIONS.appliedHash);

type Desired = ReturnType<typeof desiredChild>['object'];

function against(
  instance: InstanceObject,
  live: LiveObject,
  desired: Desired,
  { compiled, name }: PlannedChild,
): ChildDifference {
  const object = `${compiled.kind}/${name}`;
  const { managedFields } = live.metadata;
  const owner = FIELD_MANAGERS.reconciler;
  const all = ownedDifferences(desired, live);
  /** Under another hash something else was wanted when it was applied, so a field that is still ours is to change. */
  const isOutdated = all.some(({ path }) => path === HASH);
  const fields = all
    .filter(({ path }) => path !== HASH)
    .filter(({ path }) => isOutdated || !isStillOwned(managedFields, path, owner, desired))
    .map((difference): FieldLine => {
      const by = changedBy(managedFields, difference.path, owner, desired);
      return {
        ...(isSecretValue(compiled.kind, difference.path) ? masked(difference) : difference),
        ...(by ? { manager: by.manager } : {}),
        ...(by?.time ? { at: by.time } : {}),
        policy: policyFor(compiled.node, difference.path),
      };
    });
  if (fields.length === 0) return { object, state: 'same', note: '', fields };
  if (fields.every(({ policy }) => policy === 'ignore'))
    return { object, state: 'left alone', note: '', fields };
  const written = fields
    .filter(({ policy }) => policy === 'correct' || (isOutdated && policy === 'report'))
    .map(({ path }) => path);
  const change = changeOf(compiled.node, live, desired, onlyOf(written));
  const refusal = toldRefusal(instance, object) ?? refusalOf(change, object, isOutdated);
  if (refusal !== undefined) return { object, state: 'differs', note: refusal, refusal, fields };
  const note =
    change.effect === 'replace' ? 'it is deleted and made anew' : 'a newer version is to be applied';
  if (isOutdated) return { object, state: 'differs', note, fields };
  const isPaused = isRepairPaused(instance, object);
  return { object, state: 'differs', note: '', ...(isPaused ? { isPaused } : {}), fields };
}

/** As of the operator's last look; what it has put off it records as reported only. */
function isRepairPaused(instance: InstanceObject, object: string): boolean {
  const drift = conditionOf(instance, 'DriftDetected');
  if (drift?.status !== 'True' || drift.reason !== 'RepairsPaused') return false;
  return (instance.status?.drift ?? []).some(
    (record) => record.object === object && record.action === 'reported',
  );
}

/** Of a change only these fields, which are those that the operator would write. */
const onlyOf =
  (written: readonly string[]): Compare =>
  (before, after, base) =>
    liveWithDesired(before, after, base).filter(({ path }) => written.includes(path));

/** As the operator decides it. */
function refusalOf({ effect, refusal, fields }: ChildChange, object: string, isOutdated: boolean) {
  if (refusal !== undefined || effect !== 'replace' || isOutdated) return refusal;
  return madeByOthers(object, fields);
}

/** Some fields only the API server knows to be fixed, and then the operator knows it from there. */
function toldRefusal(instance: InstanceObject, object: string): string | undefined {
  const stalled = conditionOf(instance, 'Stalled');
  if (stalled?.status !== 'True' || !isHandled(instance)) return undefined;
  const isAbout = REFUSALS.includes(stalled.reason) && stalled.message.split(/:? /, 1)[0] === object;
  return isAbout ? stalled.message : undefined;
}
const REFUSALS = ['ChangeImpossible', 'ReplaceRefused'];

/** That it differs is no secret. */
const masked = ({ path, expected, actual }: FieldDifference): FieldDifference => ({
  path,
  expected: expected === undefined ? undefined : '(secret value)',
  actual: actual === undefined ? undefined : '(another secret value)',
});
