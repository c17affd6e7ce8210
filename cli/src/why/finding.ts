import { type Condition, type KubeObject, problemLines, REMEDIES, type Reason } from '@felucca/contract';
import type { EventLine } from '../facts/events.ts';

/** The first thing that is not as it should be. */
export interface Finding {
  /** `<Kind>/<name>` */
  object: string;
  /** One word of the table of reasons, or of a Blueprint's failure rule. */
  reason?: string;
  what: string;
  why?: string;
  remedy?: string;
  /** What else is known to be wrong, and does not follow from this. */
  also?: string;
  /** Who can do something about it. */
  audience?: 'tenant' | 'operator';
  /** Page under docs/runbooks/. */
  runbook?: string;
  /** Commands that show more. */
  look: string[];
  /** Newest warnings about it, oldest first. */
  events: EventLine[];
}

export type Hop =
  | { state: 'ok' | 'skipped' | 'unknown' | 'untold'; note: string }
  | {
      state: 'failed';
      note: string;
      finding: Finding;
      /** It keeps nothing else from being as it should be: what comes after it is looked at, too. */
      isApart?: true;
    };

export const ok = (note: string): Hop => ({ state: 'ok', note });
export const skipped = (note: string): Hop => ({ state: 'skipped', note });
/** Whoever asks may not see it. */
export const unknown = (note: string): Hop => ({ state: 'unknown', note });
/** No operator has said so yet. */
export const untold = (note: string): Hop => ({ state: 'untold', note });
export const failed = (finding: Finding): Hop => ({ state: 'failed', note: brief(finding.what), finding });

export const failedApart = (finding: Finding): Hop => ({
  state: 'failed',
  note: brief(finding.what),
  finding,
  isApart: true,
});

/** The finding has the rest, a line each. */
function brief(what: string): string {
  const [first = '', ...others] = problemLines(what);
  return others.length > 0 ? `${first}; and more, as below` : first;
}

/** In one line, beside another one. */
export const briefly = ({ object, what, why, remedy }: Finding): string =>
  [`${object}: ${why ?? what}`, ...(remedy ? [remedy] : [])].join('; ');

/** A condition as a finding: its message says what and why, the table of remedies what to do. */
export function findingOf(
  object: KubeObject,
  { reason, message }: Pick<Condition, 'reason' | 'message'>,
  more: Partial<Finding> = {},
): Finding {
  const remedy = REMEDIES[reason as Reason];
  const { name, namespace = '' } = object.metadata;
  return {
    object: `${object.kind}/${name}`,
    reason,
    what: message,
    ...(remedy
      ? { remedy: remedy.text.replaceAll('<name>', name).replaceAll('<namespace>', namespace) }
      : {}),
    ...(remedy?.runbook ? { runbook: remedy.runbook } : {}),
    look: [],
    events: [],
    ...more,
  };
}
