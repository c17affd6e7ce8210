import { counted, type InstanceObject } from '@felucca/contract';
import { classOf } from '../facts/class.ts';
import { platformFacts } from '../facts/platform.ts';
import { EXIT, Failure } from '../failure.ts';
import { findInstance } from '../kube/find-instance.ts';
import { writeArchive } from '../report/archive.ts';
import { Bundle } from '../report/bundle.ts';
import { collectInstance, collectPlatform } from '../report/collect.ts';
import { paintFor } from '../show/paint.ts';
import type { Context } from './context.ts';
import { statusAnswer } from './status.ts';

export interface ReportFlags {
  file?: string;
  logs?: boolean;
}

const MAX_INSTANCES = 20;

/** What one attaches to a ticket, as one file: of one Instance, or of all that are not as they should be. */
export async function reportCommand(
  context: Context,
  name: string | undefined,
  flags: ReportFlags,
): Promise<number> {
  const { kube, terminal } = context;
  const now = terminal.now();
  const bundle = new Bundle();
  const all =
    name === undefined
      ? await kube.list<InstanceObject>('Instance', context.namespace, { labelSelector: context.selector })
      : [];
  const chosen =
    name === undefined
      ? all.filter((instance) => classOf(instance) !== 'ready')
      : [await findInstance(kube, name, context.namespace)];
  if (name === undefined) {
    const platform = await platformFacts(kube, context.operatorNamespace);
    bundle.add('status.txt', statusAnswer(platform, all, paintFor(false), now).text(true));
    const well = all.length - chosen.length;
    if (well > 0)
      bundle.leftOut.push(
        `${counted(well, 'Instance that is', 'Instances that are')} Ready: name one to have it`,
      );
    if (chosen.length > MAX_INSTANCES)
      bundle.leftOut.push(
        `${counted(chosen.length - MAX_INSTANCES, 'more Instance that is', 'more Instances that are')} not Ready: narrow it with -n or -l`,
      );
  }
  terminal.say('collecting: operator and link\n');
  await collectPlatform(context, bundle);
  for (const instance of chosen.slice(0, MAX_INSTANCES)) {
    terminal.say(`collecting: Instance ${instance.metadata.namespace}/${instance.metadata.name}\n`);
    await collectInstance(context, bundle, instance, flags.logs ?? false);
  }
  const { gitVersion } = await kube.serverVersion();
  const folder = reportName(now);
  const path = flags.file ?? `${folder}.tar.gz`;
  bundle.files.set('ABOUT.txt', aboutText(bundle, now, gitVersion));
  await writeArchive(path, folder, bundle.files, now).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST')
      throw new Failure(`${path} exists already`, 'choose another name with --file');
    throw new Failure(
      `${path} cannot be written: ${error.message}`,
      'choose another place with --file',
      error,
    );
  });
  terminal.out(`${path}\n`);
  terminal.say(
    `${bundle.files.size} files. Left out:\n${listOf([...ALWAYS_LEFT_OUT, ...bundle.leftOut])}Read it before you send it: ABOUT.txt says how it was made.\n`,
  );
  return EXIT.ok;
}

/** To the millisecond: two within a second are two files. */
export const reportName = (now: Date): string => `felucca-report-${now.toISOString().replace(/[-:.]/g, '')}`;

const ALWAYS_LEFT_OUT = [
  'values of Secrets and ConfigMaps: only their keys and sizes are here',
  'parameters that a Blueprint marks sensitive, variables whose names sound secret, and what looks like a credential in texts and logs',
];

const listOf = (lines: readonly string[]): string => lines.map((line) => `  ${line}\n`).join('');

const aboutText = (bundle: Bundle, now: Date, kubernetes: string): string =>
  `Felucca support report of ${now.toISOString()}
Kubernetes ${kubernetes}

Files:
${listOf([...bundle.files.keys()].toSorted())}
Left out:
${listOf([...ALWAYS_LEFT_OUT, ...bundle.leftOut])}`;
