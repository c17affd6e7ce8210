import { Command, Option } from 'commander';
import type { Context } from './commands/context.ts';
import type { OrphanFlags } from './commands/orphan.ts';
import type { PreviewFlags } from './commands/preview.ts';
import type { ReportFlags } from './commands/report.ts';
import type { WaitFlags } from './commands/wait.ts';
import { BUILD, buildText } from './version.ts';

/** Commander's words for: open the context, do the work, keep its exit code. */
export type Perform = <Flags>(
  work: (context: Context, name: string | undefined, flags: Flags) => Promise<number>,
) => (...given: unknown[]) => Promise<void>;

/**
 * All commands and flags. Commands are loaded when they are called: help must not wait for a Kubernetes client.
 * @param name `felucca`, or `kubectl felucca` when kubectl calls it as its plugin
 */
export function defineProgram(name: string, perform: Perform): Command {
  const program = new Command(name)
    .description('Shows and steers what Felucca runs in a Kubernetes cluster.')
    .option('-n, --namespace <name>', "only this namespace (default: the context's; else all)")
    .option('-A, --all-namespaces', 'all namespaces')
    .option('-o, --output <format>', 'table, wide, json, yaml or name')
    .option('--kubeconfig <file>', 'kubeconfig to use (default: KUBECONFIG, else ~/.kube/config)')
    .option('--context <name>', 'context of the kubeconfig')
    .option('--as <user>', 'act as this user')
    .option('--operator-namespace <name>', 'where the operator runs', 'felucca-system')
    .option('--no-color', 'no colours (as does NO_COLOR)')
    .version(`${name} ${buildText(BUILD)}`, '--version', 'which version this is; takes no cluster')
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError(`(${name} --help lists the commands)`);
  const watch = new Option('-w, --watch', 'show it again when more than an age changes, until Ctrl-C');
  const selector = new Option('-l, --selector <labels>', 'only Instances with these labels');

  program
    .command('status')
    .description('operator, link, and a line per Instance: what is not as it should be first')
    .addOption(selector)
    .addOption(watch)
    .action(perform(async (context) => (await import('./commands/status.ts')).statusCommand(context)));
  program
    .command('tree')
    .argument('[instance|tenant/name]', 'one Instance, or all of a Tenant')
    .description('Tenants and Instances with their children, pods and volumes')
    .addOption(selector)
    .addOption(watch)
    .action(perform(async (context, of) => (await import('./commands/tree.ts')).treeCommand(context, of)));
  program
    .command('why')
    .argument('<instance|tenant/name|blueprint/name>')
    .description('the first hop that is not as it should be, and what to do (exit code 1)')
    .addOption(watch)
    .action(perform(async (context, of) => (await import('./commands/why.ts')).whyCommand(context, of!)));
  program
    .command('events')
    .argument('<instance>')
    .description('what happened to it, its children, pods and volumes')
    .option('--types <types>', 'only these: Normal, Warning')
    .addOption(watch)
    .action(
      perform<{ types?: string }>(async (context, of, flags) =>
        (await import('./commands/events.ts')).eventsCommand(context, of!, flags),
      ),
    );
  program
    .command('diff')
    .argument('<instance>')
    .description(
      'owned fields that are not as desired, or what a change would do (exit code 1); what the Blueprint ignores, or you may not read, does not count',
    )
    .option('--with <parameters.name=value...>', 'what this would do to each child; nothing is changed')
    .option('--blueprint-version <version>', 'what this version would do')
    .action(
      perform<PreviewFlags>(async (context, of, flags) =>
        flags.with || flags.blueprintVersion
          ? (await import('./commands/preview.ts')).previewCommand(context, of!, flags)
          : (await import('./commands/diff.ts')).diffCommand(context, of!),
      ),
    );
  waiting(program.command('reconcile'))
    .description('have the operator look at it now')
    .action(
      perform<WaitFlags>(async (context, of, flags) =>
        (await import('./commands/reconcile.ts')).reconcileCommand(context, of!, flags),
      ),
    );
  for (const [verb, suspend, description] of [
    ['suspend', true, 'scale it to zero and keep its data'],
    ['resume', false, 'bring a suspended one back'],
  ] as const)
    waiting(program.command(verb))
      .description(description)
      .action(
        perform<WaitFlags>(async (context, of, flags) =>
          (await import('./commands/suspend.ts')).suspendCommand(context, of!, suspend, flags),
        ),
      );
  program
    .command('orphan')
    .argument('<instance>')
    .description('have its children stay when it is deleted')
    .option('-y, --yes', 'do not ask')
    .action(
      perform<OrphanFlags>(async (context, of, flags) =>
        (await import('./commands/orphan.ts')).orphanCommand(context, of!, flags),
      ),
    );
  program
    .command('report')
    .argument('[instance]', 'default: all that are not Ready')
    .description('one file for a ticket, with secrets removed')
    .option('-f, --file <path>', 'where to write it (default: felucca-report-<time>.tar.gz here)')
    .addOption(selector)
    .option('--logs', "also what the Instance's containers write")
    .action(
      perform<ReportFlags>(async (context, of, flags) =>
        (await import('./commands/report.ts')).reportCommand(context, of, flags),
      ),
    );
  program
    .command('version')
    .description('which versions of the CLI, of the operator and of Kubernetes meet here')
    .action(perform(async (context) => (await import('./commands/version.ts')).versionCommand(context)));
  // Another program (admin.ts); here for those who look for it.
  program
    .command('admin')
    .argument('[words...]')
    .description('the control plane’s database: back up, restore, adopt what it has lost');
  return program;
}

const waiting = (command: Command): Command =>
  command
    .argument('<instance>')
    .option('--no-wait', 'do not wait until it is done')
    .option('--timeout <duration>', 'how long to wait', '60s');
