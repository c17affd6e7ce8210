import { isRecord, pointerSegments } from '../blueprint/problem.ts';
import { isUnder } from '../children/owned-fields.ts';
import { quantity } from '../children/quantity.ts';

type Json = Record<string, unknown>;

/** A part of an object that the API server refuses to change once the object exists. */
interface FixedPart {
  /** JSON pointer. */
  path: string;
  /** Parts of it that can change after all. */
  except?: readonly string[];
  /** What the API server stores when it is left out. */
  absent?: unknown;
  /** Fixed only on objects of which this holds. */
  when?: (before: Json) => boolean;
}

interface FixedKind {
  parts: readonly FixedPart[];
  /** What is lost when the object is made anew; without it nothing is. */
  holds?: string;
}

const isSealed = (before: Json): boolean => before.immutable === true;

/** Kubernetes 1.36, `Validate…Update` in pkg/apis. A kind that is not here can change in all its fields. */
const FIXED: Record<string, FixedKind> = {
  Deployment: { parts: [{ path: '/spec/selector' }] },
  StatefulSet: {
    parts: [
      { path: '/spec/selector' },
      { path: '/spec/serviceName', absent: '' },
      { path: '/spec/podManagementPolicy', absent: 'OrderedReady' },
      { path: '/spec/volumeClaimTemplates', absent: [] },
    ],
    holds: 'the volumes of its pods',
  },
  Job: {
    parts: [
      { path: '/spec/template' },
      { path: '/spec/selector' },
      { path: '/spec/completions' },
      { path: '/spec/completionMode', absent: 'NonIndexed' },
      { path: '/spec/podFailurePolicy' },
      { path: '/spec/successPolicy' },
      { path: '/spec/backoffLimitPerIndex' },
      { path: '/spec/managedBy' },
    ],
  },
  Service: {
    parts: [
      // Left out, an address is given and kept; a Service without one stays without.
      { path: '/spec/clusterIP', absent: '', when: (before) => at(before, '/spec/clusterIP') === 'None' },
      { path: '/spec/clusterIP' },
      { path: '/spec/ipFamilies/0' },
      { path: '/spec/loadBalancerClass' },
    ],
  },
  ConfigMap: {
    parts: [
      { path: '/data', when: isSealed },
      { path: '/binaryData', when: isSealed },
      { path: '/immutable', absent: false, when: isSealed },
    ],
  },
  Secret: {
    parts: [
      { path: '/type', absent: 'Opaque' },
      { path: '/data', when: isSealed },
      { path: '/immutable', absent: false, when: isSealed },
    ],
    holds: 'the values in it',
  },
  PersistentVolumeClaim: {
    parts: [
      { path: '/spec', except: ['/spec/resources/requests/storage', '/spec/volumeAttributesClassName'] },
      { path: '/spec/resources/requests/storage' },
    ],
    holds: 'the data on its volume',
  },
};

/** A changed field, by its JSON pointer. */
export interface FieldChange {
  path: string;
}
/** What differs between two values of the field at `base`; undefined is a field that is left out. */
export type Compare = (before: unknown, after: unknown, base: string) => readonly FieldChange[];

/** Pointers of the fields that differ and can't change. */
export function fixedChanges(kind: string, before: Json, after: Json, compare: Compare): string[] {
  const changed = (FIXED[kind]?.parts ?? []).flatMap(({ path, except = [], absent, when }) => {
    if (when && !when(before)) return [];
    const [old, wanted] = [at(before, path) ?? absent, at(after, path) ?? absent];
    if (path === STORAGE && !shrinks(before, wanted)) return [];
    return compare(old, wanted, path)
      .map((change) => change.path)
      .filter((changedPath) => !except.some((open) => isUnder(changedPath, open)));
  });
  return [...new Set(changed)];
}

/** What making an object of the kind anew would destroy. */
export const heldBy = (kind: string): string | undefined => FIXED[kind]?.holds;

const STORAGE = '/spec/resources/requests/storage';

/** A request that failed to grow may come back as long as the volume has not grown. */
function shrinks(before: Json, wanted: unknown): boolean {
  const held = quantity(at(before, '/status/capacity/storage') ?? at(before, STORAGE));
  const asked = quantity(wanted);
  return held === undefined || asked === undefined || asked < held;
}

function at(object: unknown, path: string): unknown {
  let value = object;
  for (const segment of pointerSegments(path)) {
    if (Array.isArray(value)) value = value[Number(segment)];
    else value = isRecord(value) ? value[segment] : undefined;
  }
  return value;
}
