import { LABELS } from '../identity.ts';
import type { InventoryEntry } from '../resources/instance.ts';
import type { KubeObject } from '../resources/object.ts';
import { isOurs, type LiveObject } from './live-object.ts';

/** What tells a child from the others of its Instance, and of an Instance of another name. */
const PLACE = [LABELS.managedBy, LABELS.instance, LABELS.node, LABELS.key];

/**
 * Why the object under a child's name is not that child; undefined when it is, or may be taken up again. A label alone
 * makes nothing ours, and takes nothing from us: anybody can write it. What the admission policy of children refuses is
 * a conflict here, so that it is told as one.
 */
export function whyForeign(
  live: LiveObject,
  wanted: Pick<KubeObject, 'metadata'>,
  known: InventoryEntry | undefined,
  instanceUid: string,
): string | undefined {
  const { ownerReferences = [], labels = {}, uid } = live.metadata;
  const controller = ownerReferences.find((owner) => owner.controller);
  if (controller && controller.uid !== instanceUid)
    return `it belongs to ${controller.kind} ${controller.name}`;
  // The object that we made, and one sign of that is left: the others are set back.
  const isKnown = known?.uid !== undefined && known.uid === uid;
  if (isKnown && (controller || isOurs(live, instanceUid))) return undefined;
  const misplaced = PLACE.find((label) => labels[label] !== wanted.metadata.labels?.[label]);
  if (misplaced !== undefined)
    return labels[misplaced] === undefined
      ? `it does not carry the label ${misplaced}`
      : `its label ${misplaced} says ${labels[misplaced]}`;
  if (labels[LABELS.instanceUid] === undefined) return `it does not carry the label ${LABELS.instanceUid}`;
  // Retained or orphaned by a former Instance of the same name; nobody owns it now.
  if (isOurs(live, instanceUid) || ownerReferences.length === 0) return undefined;
  return controller
    ? `its label ${LABELS.instanceUid} says ${labels[LABELS.instanceUid]}`
    : 'it is a child of another Instance';
}
