import { apiServerWords, type InstanceObject, isRecord, type LiveObject } from '@felucca/contract';
import type { ChildFacts } from './children.ts';

/** One Event as a line of a timeline. */
export interface EventLine {
  at: Date;
  type: string;
  /** `<Kind>/<name>` */
  object: string;
  reason: string;
  count: number;
  message: string;
}

/** Events of the namespace that are about the Instance, its children, their pods and volumes; oldest first. */
export function eventsOf(
  events: readonly LiveObject[],
  instance: InstanceObject,
  children: readonly ChildFacts[],
): LiveObject[] {
  const uids = new Set<string | undefined>([instance.metadata.uid]);
  const names = new Set<string>();
  for (const { entry, pods, claims } of children) {
    uids.add(entry.uid);
    names.add(entry.name);
    for (const object of [...pods, ...claims]) uids.add(object.metadata.uid);
  }
  /** What a child's controller made and is gone by now still explains what happened: `<child>-<tail>`. */
  const isMadeByChild = (name: string): boolean => {
    const cuts = [...name.matchAll(/-/g)].map((match) => match.index);
    return (
      cuts.some((cut) => names.has(name.slice(0, cut))) || cuts.some((cut) => isClaimOf(name.slice(cut + 1)))
    );
  };
  /** `<claim template>-<child>-<ordinal>` */
  const isClaimOf = (tail: string): boolean => names.has(tail.replace(/-\d+$/, ''));
  return events
    .filter((event) => {
      const about = aboutOf(event);
      if (about.uid !== undefined && uids.has(about.uid)) return true;
      return about.kind !== 'Instance' && (names.has(about.name) || isMadeByChild(about.name));
    })
    .toSorted((a, b) => timeOf(a).getTime() - timeOf(b).getTime() || writtenOf(a) - writtenOf(b));
}

export const aboutOf = (event: LiveObject): { kind: string; name: string; uid?: string } => {
  const about = isRecord(event.involvedObject) ? event.involvedObject : {};
  return {
    kind: String(about.kind ?? ''),
    name: String(about.name ?? ''),
    ...(typeof about.uid === 'string' ? { uid: about.uid } : {}),
  };
};

/**
 * Retries say the same again, each with another generated name in quotes and so as another Event: one line for
 * them all, with the newest text and how often.
 */
export function foldRepeats(lines: readonly EventLine[]): EventLine[] {
  const newest = new Map<string, EventLine>();
  for (const line of lines) {
    const said = line.message.replace(/"[^"]*"/g, '""');
    const key = [line.type, line.object, line.reason, said].join('\n');
    const before = newest.get(key);
    newest.delete(key);
    newest.set(key, { ...line, count: line.count + (before?.count ?? 0) });
  }
  return [...newest.values()];
}

export function lineOf(event: LiveObject): EventLine {
  const { kind, name } = aboutOf(event);
  const series = isRecord(event.series) ? event.series : {};
  return {
    at: timeOf(event),
    type: String(event.type ?? 'Normal'),
    object: `${kind}/${name}`,
    reason: String(event.reason ?? ''),
    count: Number(series.count ?? event.count ?? 1),
    // How often is in `count`.
    message: apiServerWords(String(event.message ?? '').replace(/^\(combined from similar events\): /, '')),
  };
}

/** Times are whole seconds, and a cause and what comes of it share one; versions only grow. */
const writtenOf = ({ metadata }: LiveObject): number => Number(metadata.resourceVersion ?? 0);

/** When it happened last. */
function timeOf(event: LiveObject): Date {
  const series = isRecord(event.series) ? event.series.lastObservedTime : undefined;
  const text = series ?? event.lastTimestamp ?? event.eventTime ?? event.metadata.creationTimestamp;
  return new Date(String(text ?? 0));
}
