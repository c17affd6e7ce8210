import { type EventLine, foldRepeats, lineOf } from '../facts/events.ts';
import { instanceFacts } from '../facts/instance.ts';
import { EXIT, Failure } from '../failure.ts';
import { isSeen } from '../kube/errors.ts';
import { findInstance } from '../kube/find-instance.ts';
import { age } from '../show/age.ts';
import { type Answer, show } from '../show/output.ts';
import type { Paint } from '../show/paint.ts';
import { table } from '../show/table.ts';
import type { Context } from './context.ts';

export interface EventsFlags {
  types?: string;
}

/** What happened to an Instance, its children, their pods and volumes, in one line of time. */
export async function eventsCommand(context: Context, name: string, flags: EventsFlags): Promise<number> {
  const { kube, terminal } = context;
  const types = flags.types === undefined ? undefined : typesOf(flags.types);
  const instance = await findInstance(kube, name, context.namespace);
  const now = terminal.now();
  const { events } = await instanceFacts(kube, instance, context.operatorNamespace, now);
  if (!isSeen(events))
    throw new Failure(events.hidden, 'ask for the role "view" in the namespace of the Instance');
  const lines = foldRepeats(events.value.map(lineOf)).filter(({ type }) => types?.includes(type) ?? true);
  await show(terminal, context.format, eventsAnswer(lines, context.paint, now));
  return EXIT.ok;
}

/** Those that Kubernetes knows. */
const TYPES: readonly string[] = ['Normal', 'Warning'];

/** @param text as written after `--types`: a list, in any case */
function typesOf(text: string): string[] {
  return text.split(',').map((word) => {
    const type = TYPES.find((known) => known.toLowerCase() === word.trim().toLowerCase());
    if (type === undefined)
      throw new Failure(`no Event is of type "${word}"`, `there are ${TYPES.join(' and ')}`);
    return type;
  });
}

export const eventsAnswer = (lines: readonly EventLine[], paint: Paint, now: Date): Answer => ({
  data: lines,
  names: [...new Set(lines.map(({ object }) => object.toLowerCase()))],
  text: () =>
    lines.length === 0
      ? 'No events in the last hour: the API server keeps none for longer.\n'
      : table(
          ['LAST SEEN', 'TYPE', 'OBJECT', 'REASON', 'COUNT', 'MESSAGE'],
          lines.map(({ at, type, object, reason, count, message }) => [
            age(at, now),
            type === 'Warning' ? paint.warn(type) : type,
            object,
            reason,
            String(count),
            message,
          ]),
        ),
});
