import { z } from 'zod';
import { ANNOTATIONS } from '../identity.ts';
import { type InventoryEntry, inventoryEntrySchema, MAX_CHILDREN } from '../resources/instance.ts';
import type { InstanceObject } from '../resources/object.ts';

/**
 * What will be applied next, kept in an annotation: metadata and status are two requests to the API server, and
 * this way the intent travels in the one that sets the finalizer. The status takes it over with the UIDs.
 */
const writtenAheadSchema = z.strictObject({
  revision: z.number().int().min(1),
  entries: z.array(inventoryEntrySchema).max(MAX_CHILDREN),
});

const isSameChild = (a: InventoryEntry, b: InventoryEntry): boolean =>
  a.kind === b.kind && a.name === b.name && a.apiVersion === b.apiVersion;

/**
 * Everything that may exist: what the status lists, and what was written ahead since. A UID says that an object is ours
 * whatever its labels say, so it is believed only from the status, which nobody but the operator may write.
 */
export function inventoryOf(instance: InstanceObject): InventoryEntry[] {
  const listed = instance.status?.inventory ?? [];
  const ahead = writtenAhead(instance);
  if (!ahead || ahead.revision <= (instance.status?.inventoryRevision ?? 0)) return listed;
  return [
    ...listed.map((entry) => (isBeingReplaced(entry, ahead.entries) ? withoutUid(entry) : entry)),
    ...ahead.entries.filter((entry) => !listed.some((known) => isSameChild(entry, known))).map(withoutUid),
  ];
}

/** Announced without the UID that is known: that object goes, and another one takes its name. */
const isBeingReplaced = (entry: InventoryEntry, announced: readonly InventoryEntry[]): boolean =>
  announced.some((newer) => isSameChild(newer, entry) && newer.uid === undefined);
function withoutUid(entry: InventoryEntry): InventoryEntry {
  const { uid: _, ...rest } = entry;
  return rest;
}

/** Whether `wanted` has something to announce: a child, or that one is to be replaced. */
export const hasNewEntries = (known: readonly InventoryEntry[], wanted: readonly InventoryEntry[]): boolean =>
  wanted.some(
    (entry) =>
      !known.some((old) => isSameChild(entry, old) && (entry.uid !== undefined || old.uid === undefined)),
  );

/** The revision that a status takes over when it lists everything of `inventoryOf`. */
export const inventoryRevision = (instance: InstanceObject): number | undefined =>
  writtenAhead(instance)?.revision ?? instance.status?.inventoryRevision;

/** Annotations to apply before the children: all of the inventory, under the next revision. */
export function writeAheadAnnotation(
  instance: InstanceObject,
  entries: readonly InventoryEntry[],
): Record<string, string> {
  const revision =
    Math.max(writtenAhead(instance)?.revision ?? 0, instance.status?.inventoryRevision ?? 0) + 1;
  return { [ANNOTATIONS.inventory]: JSON.stringify({ revision, entries }) };
}

/** Whoever may annotate an Instance may break it; then the status alone counts, and children carry our labels. */
function writtenAhead(instance: InstanceObject): z.infer<typeof writtenAheadSchema> | undefined {
  const text = instance.metadata.annotations?.[ANNOTATIONS.inventory];
  if (text === undefined) return undefined;
  try {
    return writtenAheadSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
