import { type InstanceObject, inventoryOf } from '@felucca/contract';
import { isHeld } from '../facts/ownership.ts';
import { EXIT, Failure } from '../failure.ts';
import { findInstance } from '../kube/find-instance.ts';
import type { Context } from './context.ts';
import { refuseIfOwned } from './local-only.ts';
import { tell, tellDeletion } from './wait.ts';

export interface OrphanFlags {
  yes?: boolean;
}

/** Marks an Instance so that its children stay, as they are, when it goes. */
export async function orphanCommand(context: Context, name: string, flags: OrphanFlags): Promise<number> {
  const { kube, terminal, program } = context;
  const instance = await findInstance(kube, name, context.namespace);
  if (isHeld(instance)) return tellDeletion(context, instance);
  refuseIfOwned(instance, 'orphaned', { method: 'PATCH', body: { deletionPolicy: 'Orphan' } });
  const { namespace, uid, name: found } = instance.metadata;
  const title = `Instance ${namespace}/${found}`;
  if (instance.spec?.deletionPolicy === 'Orphan') {
    await tell(context, instance, 'is marked already: its children stay when it is deleted');
    return EXIT.ok;
  }
  const children = inventoryOf(instance).map(({ kind, name: child }) => `${kind}/${child}`);
  terminal.say(
    [
      `When ${title} is deleted, these will stay and run on, owned by nobody:`,
      ...children.map((child) => `  ${child}`),
      'No operator will correct, update or remove them. An Instance of the same name and Blueprint takes them over again, and makes their pods anew.',
      '',
    ].join('\n'),
  );
  if (!(await isConfirmed(context, flags))) {
    terminal.say('Nothing was changed.\n');
    return EXIT.failed;
  }
  const marked = await kube.patch<InstanceObject>('Instance', namespace, found, {
    metadata: { uid },
    spec: { deletionPolicy: 'Orphan' },
  });
  await tell(context, marked, 'is marked: its children stay when it is deleted');
  terminal.say(
    `  now delete it: kubectl delete instance ${found} -n ${namespace}\n  or take it back: kubectl patch instance ${found} -n ${namespace} --type=merge -p '{"spec":{"deletionPolicy":"Delete"}}'\n  ${program} tree ${found} -n ${namespace} shows what it has\n`,
  );
  return EXIT.ok;
}

async function isConfirmed({ terminal }: Context, { yes }: OrphanFlags): Promise<boolean> {
  if (yes) return true;
  if (!terminal.canAsk) throw new Failure('nobody is there to confirm it', 'say --yes if you mean it');
  return /^y(es)?$/i.test((await terminal.ask('Go on? [y/N] ')).trim());
}
