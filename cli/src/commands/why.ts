import type { InstanceObject } from '@felucca/contract';
import { conditionOf } from '../facts/conditions.ts';
import { instanceFacts } from '../facts/instance.ts';
import { EXIT } from '../failure.ts';
import { findInstance } from '../kube/find-instance.ts';
import { age } from '../show/age.ts';
import { type Answer, show } from '../show/output.ts';
import type { Paint } from '../show/paint.ts';
import { table } from '../show/table.ts';
import type { Finding, Hop } from '../why/finding.ts';
import { type Walk, walk } from '../why/walk.ts';
import type { Context } from './context.ts';

/** Exit code 1 when something is not as it should be. */
export async function whyCommand(context: Context, name: string): Promise<number> {
  const { kube, terminal } = context;
  const instance = await findInstance(kube, name, context.namespace);
  const now = terminal.now();
  const facts = await instanceFacts(kube, instance, context.operatorNamespace, now);
  const walked = walk(facts);
  await show(terminal, context.format, whyAnswer(instance, walked, context.paint, now));
  return walked.finding ? EXIT.wrong : EXIT.ok;
}

export function whyAnswer(instance: InstanceObject, walked: Walk, paint: Paint, now: Date): Answer {
  const { name, namespace } = instance.metadata;
  const { finding, steps } = walked;
  return {
    data: {
      instance: `${namespace}/${name}`,
      ok: finding === undefined,
      hops: steps.map(({ name: hop, hop: { state, note } }) => ({ hop, state, note })),
      ...(finding ? { finding } : {}),
    },
    names: [`instance.felucca.dev/${name}`],
    text: () =>
      [
        `${paint.strong(`Instance ${namespace}/${name}`)} ${headline(instance, walked, now)}\n`,
        table(
          [],
          steps.map(({ name: step, hop }) => [`${mark(hop, paint)} ${step}`, hop.note]),
        ),
        ...(finding ? [findingText(finding, paint, now)] : []),
      ].join('\n'),
  };
}

function headline(instance: InstanceObject, { finding, steps }: Walk, now: Date): string {
  const ready = conditionOf(instance, 'Ready');
  const since = ready ? ` (for ${age(ready.lastTransitionTime, now)})` : '';
  const said = ready?.status === 'True' ? 'is Ready' : `is not Ready: ${ready?.reason ?? 'no status yet'}`;
  if (finding) return `${said}${since}`;
  const hidden = steps.filter(({ hop }) => hop.state === 'unknown').length;
  const hops = hidden === 1 ? '1 hop is' : `${hidden} hops are`;
  return `${said}${since}; ${hidden > 0 ? `what you may see is as it should be, ${hops} hidden from you` : 'all is as it should be'}`;
}

function mark(hop: Hop, paint: Paint): string {
  if (hop.state === 'ok') return paint.good('✓');
  if (hop.state === 'failed') return paint.bad('✗');
  return paint.dim(hop.state === 'unknown' ? '?' : '·');
}

function findingText(finding: Finding, paint: Paint, now: Date): string {
  const rows: [string, string | undefined][] = [
    ['What', `${finding.object}: ${finding.what}`],
    ['Why', finding.why],
    ['Do', finding.remedy],
    ['Who', finding.audience && WHO[finding.audience]],
    ['Runbook', finding.runbook && `docs/runbooks/${finding.runbook}.md`],
    ...finding.look.map((command, index): [string, string] => [index === 0 ? 'Look' : '', command]),
    ...finding.events.map((event, index): [string, string] => [
      index === 0 ? 'Events' : '',
      `${age(event.at, now)} ago  ${event.object}  ${event.reason}: ${event.message}`,
    ]),
  ];
  return table(
    [],
    rows.flatMap(([title, text]) => (text ? [[paint.strong(title), text]] : [])),
  );
}

const WHO = {
  tenant: 'the tenant: whoever ordered the Instance',
  operator: 'the platform: whoever runs this cluster or wrote the Blueprint',
} as const;
