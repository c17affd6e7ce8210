import {
  absence,
  type BlueprintObject,
  blueprintObjectName,
  type ChildState,
  childState,
  ExpressionProblem,
  type InstanceObject,
  type InventoryEntry,
  instanceScope,
  inventoryOf,
  LABELS,
  type LiveObject,
  type Problem,
  partOf,
  readinessOf,
} from '@felucca/contract';
import type { Kube } from '../kube/client.ts';
import { ifAllowed, isSeen, type Seen, seenValue } from '../kube/errors.ts';
import { isAnothers } from './ownership.ts';
import { isProduct, makeProduct, type Product, plannedOf } from './product.ts';

/** One entry of the inventory and what is there under its name. */
export interface ChildFacts {
  entry: InventoryEntry;
  live: Seen<LiveObject | undefined>;
  /** Undefined where it cannot be known: the child is hidden. */
  state?: ChildState;
  /** It was made, and is gone although nobody here wants that. */
  isLost?: boolean;
  /** Another object has the name. */
  isForeign: boolean;
  pods: LiveObject[];
  /** Volume claims that its controller made for it. */
  claims: LiveObject[];
}

/** An Instance and what it is made of. */
export interface ChildrenFacts {
  now: Date;
  instance: InstanceObject;
  blueprint: Seen<BlueprintObject | undefined>;
  /** Absent where the Blueprint is hidden, missing or wrong, or the parameters are. */
  product?: Product;
  parameterProblems: Problem[];
  children: ChildFacts[];
}

export async function childrenFacts(kube: Kube, instance: InstanceObject, now: Date): Promise<ChildrenFacts> {
  const { namespace = '', uid = '' } = instance.metadata;
  const { name = '', version = '' } = instance.spec?.blueprintRef ?? {};
  const ours = { labelSelector: `${LABELS.instanceUid}=${uid}` };
  const inventory = inventoryOf(instance);
  const [blueprint, lives, pods, claims] = await Promise.all([
    ifAllowed(kube.get<BlueprintObject>('Blueprint', undefined, blueprintObjectName(name, version))),
    Promise.all(inventory.map((entry) => readChild(kube, namespace, entry))),
    ifAllowed(kube.list('Pod', namespace, ours)),
    ifAllowed(kube.list('PersistentVolumeClaim', namespace, ours)),
  ]);
  const children = inventory.map((entry, index): ChildFacts => {
    const live = lives[index]!;
    const object = seenValue(live);
    const part = [entry.node, entry.key].join('/');
    const isPart = (item: LiveObject): boolean => partOf(item) === part;
    return {
      entry,
      live,
      isForeign: object !== undefined && isAnothers(object, instance, entry, entry),
      pods: (seenValue(pods) ?? []).filter(isPart).toSorted(byName),
      claims: (seenValue(claims) ?? [])
        .filter((item) => isPart(item) && !inventory.some((known) => known.name === item.metadata.name))
        .toSorted(byName),
    };
  });
  const facts: ChildrenFacts = { now, instance, blueprint, parameterProblems: [], children };
  addProduct(facts);
  for (const child of children) Object.assign(child, stateOf(facts, child));
  return facts;
}

const byName = (a: LiveObject, b: LiveObject): number => (a.metadata.name < b.metadata.name ? -1 : 1);

/** Of a Secret only the metadata: nothing here needs its values. */
const readChild = (kube: Kube, namespace: string, { kind, name }: InventoryEntry) =>
  ifAllowed(kube.get(kind, namespace, name, { metadataOnly: kind === 'Secret' }));

function addProduct(facts: ChildrenFacts): void {
  const blueprint = seenValue(facts.blueprint);
  if (!blueprint) return;
  const made = makeProduct(blueprint, facts.instance);
  if (isProduct(made)) facts.product = made;
  else if (made.of === 'parameters') facts.parameterProblems = made.problems;
}

const LOST: ChildState = { state: 'progressing', message: 'it was made, and somebody deleted it' };

/** By the Blueprint's rules where it can be read, else by those of the kind alone. */
function stateOf(
  facts: ChildrenFacts,
  { entry, live, isForeign }: ChildFacts,
): Pick<ChildFacts, 'isLost' | 'state'> {
  if (!isSeen(live) || isForeign) return {};
  const { product, instance } = facts;
  const planned = plannedOf(product, entry);
  const isWanted = !instance.metadata.deletionTimestamp && (!product || planned !== undefined);
  // Only what was made has a UID there, and what is made anew by us has lost it before.
  if (isWanted && !live.value && entry.uid !== undefined) return { isLost: true, state: LOST };
  if (product && planned) {
    const scope = instanceScope(
      instance,
      product.compiled,
      product.parameters,
      product.planned,
      liveByName(facts),
    );
    try {
      return { state: childState(planned, live.value, scope, instance, facts.now) };
    } catch (error) {
      if (!(error instanceof ExpressionProblem)) throw error;
    }
  }
  if (!live.value || live.value.metadata.deletionTimestamp)
    return { state: absence(live.value, instance, isWanted) };
  return { state: { message: '', ...readinessOf(live.value) } };
}

const liveByName = ({ children }: ChildrenFacts): Map<string, LiveObject> =>
  new Map(
    children.flatMap(({ entry, live }): [string, LiveObject][] => {
      const object = seenValue(live);
      return object ? [[entry.name, object]] : [];
    }),
  );
