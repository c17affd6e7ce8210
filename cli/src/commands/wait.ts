import { type Condition, type InstanceObject, shardOf } from '@felucca/contract';
import { conditionOf } from '../facts/conditions.ts';
import { HELD } from '../facts/ownership.ts';
import { platformFacts } from '../facts/platform.ts';
import { toldOf } from '../facts/told.ts';
import { EXIT, Failure } from '../failure.ts';
import { age } from '../show/age.ts';
import { show, withoutManagedFields } from '../show/output.ts';
import type { Finding } from '../why/finding.ts';
import { shardHop } from '../why/platform.ts';
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

/** What is waited for, and how it is told. */
export interface Wanted {
  isDone: (instance: InstanceObject) => boolean;
  /** The status is of after the question, and no longer of before. */
  hasLooked: (instance: InstanceObject) => boolean;
  /** Such as `is reconciled`. */
  done: string;
  isWell: (instance: InstanceObject) => boolean;
}

/**
 * Looks until the operator has done what was asked for; says on the way what it waits for, and in the end how the
 * Instance is. Exit code 1 when that is not what was wanted, when it cannot be, or when nobody is there who would do it.
 */
export async function waitUntil(
  context: Context,
  asked: InstanceObject,
  timeoutMs: number,
  wanted: Wanted,
): Promise<number> {
  const { kube, terminal } = context;
  const { namespace, name, uid } = asked.metadata;
  const unled = await missingLeader(context, asked);
  if (unled) {
    terminal.say(`Error: ${unled.what}\n  ${unled.remedy}; it is done then\n`);
    return EXIT.wrong;
  }
  let said = '';
  for (let waitedMs = 0; waitedMs <= timeoutMs; waitedMs += POLL_MS) {
    const instance = await kube.get<InstanceObject>('Instance', namespace, name);
    if (instance?.metadata.uid !== uid)
      throw new Failure(
        `Instance ${namespace}/${name} was deleted meanwhile`,
        'felucca status lists what is there',
      );
    if (wanted.isDone(instance!)) return tellOutcome(context, instance!, wanted);
    if (instance!.metadata.deletionTimestamp) return tellDeletion(context, instance!);
    const hasLooked = wanted.hasLooked(instance!);
    const stalled = conditionOf(instance, 'Stalled');
    if (hasLooked && stalled?.status === 'True') return tellStalled(context, asked, stalled);
    const told = hasLooked ? toldOf(instance!) : undefined;
    const now = `waiting: ${told ? `${told.reason}: ${told.message}` : 'the operator has not looked yet'}\n`;
    if (now !== said) terminal.say(now);
    said = now;
    await terminal.sleep(POLL_MS);
  }
  terminal.say(
    `Error: not within ${timeoutMs / 1000}s\n  ${whyText(context, asked)} tells what it waits for\n`,
  );
  return EXIT.wrong;
}

const whyText = ({ program }: Context, { metadata: { name, namespace } }: InstanceObject): string =>
  `${program} why ${name} -n ${namespace}`;

/** Until somebody changes something. */
function tellStalled(context: Context, instance: InstanceObject, { reason, message }: Condition): number {
  context.terminal.say(
    `Error: waiting does not help: ${reason}: ${message}\n  ${whyText(context, instance)} tells what to do\n`,
  );
  return EXIT.wrong;
}

/** Why nobody will do it, as far as Leases may be read; none where an operator leads. */
export async function missingLeader(
  { kube, terminal, operatorNamespace }: Context,
  instance: InstanceObject,
): Promise<Finding | undefined> {
  const platform = await platformFacts(kube, operatorNamespace, instance);
  const shard = shardOf(instance.metadata.uid ?? '', platform.leases.length);
  const hop = shardHop(platform, shard, terminal.now());
  return hop.state === 'failed' ? hop.finding : undefined;
}

/** Of an Instance on its way out nothing else can be wanted; of one whose deletion is held the API knows nothing more. */
export function tellDeletion(context: Context, instance: InstanceObject): number {
  const { terminal } = context;
  const { namespace, name, deletionTimestamp } = instance.metadata;
  const what = deletionTimestamp
    ? `is being deleted, for ${age(deletionTimestamp, terminal.now())} now`
    : `is to be deleted: ${HELD}`;
  terminal.say(
    `Error: Instance ${namespace}/${name} ${what}\n  ${whyText(context, instance)} tells what it waits for\n`,
  );
  return EXIT.wrong;
}

/** What became of an Instance: a sentence for people, the object for programs. */
export function tell({ terminal, format }: Context, instance: InstanceObject, what: string): Promise<void> {
  const { namespace, name } = instance.metadata;
  return show(terminal, format, {
    data: withoutManagedFields(instance),
    names: [`instance.felucca.dev/${name}`],
    text: () => `Instance ${namespace}/${name} ${what}\n`,
  });
}

async function tellOutcome(
  context: Context,
  instance: InstanceObject,
  { done, isWell }: Wanted,
): Promise<number> {
  const told = toldOf(instance);
  await tell(context, instance, `${done}: ${told?.reason ?? 'no status'}: ${told?.message ?? ''}`);
  if (isWell(instance)) return EXIT.ok;
  context.terminal.say(`  ${whyText(context, instance)} tells more\n`);
  return EXIT.wrong;
}
