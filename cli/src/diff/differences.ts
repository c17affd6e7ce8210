import {
  ANNOTATIONS,
  changedBy,
  type DriftPolicy,
  desiredChild,
  ExpressionProblem,
  FIELD_MANAGERS,
  type FieldDifference,
  type InstanceObject,
  type InventoryEntry,
  instanceScope,
  isOurs,
  isSecretValue,
  isStillOwned,
  type LiveObject,
  ownedDifferences,
  type PlannedChild,
  pointer,
  policyFor,
  renderChild,
} from '@felucca/contract';
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
  state: 'same' | 'differs' | 'missing' | 'waiting' | 'foreign' | 'hidden' | 'left over';
  note: string;
  fields: FieldLine[];
}

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
      if (!isOurs(seen.value, instance.metadata.uid ?? ''))
        return line('foreign', 'another object has the name');
      return against(seen.value, desiredChild(rendered.object, planned, instance).object, planned, object);
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

const HASH = pointer('/metadata/annotations', ANNOTATIONS.appliedHash);

function against(
  live: LiveObject,
  desired: ReturnType<typeof desiredChild>['object'],
  { compiled }: PlannedChild,
  object: string,
): ChildDifference {
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
  return { object, state: 'differs', note: isOutdated ? 'a newer version is to be applied' : '', fields };
}

/** That it differs is no secret. */
const masked = ({ path, expected, actual }: FieldDifference): FieldDifference => ({
  path,
  expected: expected === undefined ? undefined : '(secret value)',
  actual: actual === undefined ? undefined : '(another secret value)',
});
