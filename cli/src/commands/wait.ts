import type { InstanceObject } from '@felucca/contract';
import { conditionOf } from '../facts/conditions.ts';
import { EXIT, Failure } from '../failure.ts';
import { show } from '../show/output.ts';
import type { Context } from './context.ts';

export interface WaitFlags {
  wait: boolean;
  timeout: string;
}

const POLL_MS = 300;
const UNITS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** As kubectl takes it: `30s`, `2m`. */
export function parseDurationMs(text: string): number {
  const [, amount, unit = ''] = /^(\d{1,6})(ms|s|m|h)$/.exec(text) ?? [];
  if (amount === undefined) throw new Failure(`"${text}" is not a duration`, 'write it as 30s or 2m');
  return Number(amount) * UNITS[unit]!;
}

/**
 * Looks until the operator has done what was asked for; says on the way what it waits for. Undefined when it is not
 * done in time.
 */
export async function waitUntil(
  { kube, terminal }: Context,
  { metadata: { namespace, name, uid } }: InstanceObject,
  timeoutMs: number,
  isDone: (instance: InstanceObject) => boolean,
): Promise<InstanceObject | undefined> {
  let said = '';
  for (let waitedMs = 0; ; waitedMs += POLL_MS) {
    const instance = await kube.get<InstanceObject>('Instance', namespace, name);
    if (instance?.metadata.uid !== uid)
      throw new Failure(
        `Instance ${namespace}/${name} was deleted meanwhile`,
        'felucca status lists what is there',
      );
    if (isDone(instance!)) return instance;
    if (waitedMs >= timeoutMs) return undefined;
    const ready = conditionOf(instance, 'Ready');
    const now = `waiting: ${ready ? `${ready.reason}: ${ready.message}` : 'no status yet'}\n`;
    if (now !== said) terminal.say(now);
    said = now;
    await terminal.sleep(POLL_MS);
  }
}

/** What became of an Instance: a sentence for people, the object for programs. */
export function tell({ terminal, format }: Context, instance: InstanceObject, what: string): Promise<void> {
  const { namespace, name } = instance.metadata;
  return show(terminal, format, {
    data: instance,
    names: [`instance.felucca.dev/${name}`],
    text: () => `Instance ${namespace}/${name} ${what}\n`,
  });
}

/** What was done, and how the Instance is now; exit code 1 when that is not what was wanted. */
export async function tellOutcome(
  context: Context,
  instance: InstanceObject | undefined,
  done: string,
  isWell: (instance: InstanceObject) => boolean,
): Promise<number> {
  const { terminal, program } = context;
  if (!instance) {
    terminal.say(`Error: not within the time given\n  is the operator running? ${program} status tells\n`);
    return EXIT.wrong;
  }
  const { namespace, name } = instance.metadata;
  const ready = conditionOf(instance, 'Ready');
  await tell(context, instance, `${done}: ${ready?.reason ?? 'no status'}: ${ready?.message ?? ''}`);
  if (isWell(instance)) return EXIT.ok;
  terminal.say(`  ${program} why ${name} -n ${namespace} tells more\n`);
  return EXIT.wrong;
}
