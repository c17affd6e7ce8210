import { Failure } from '../failure.ts';
import type { Kube } from '../kube/client.ts';
import type { ClusterFlags, Surroundings } from '../kube/connection.ts';
import { FORMATS, type Format } from '../show/output.ts';
import { type Paint, paintFor } from '../show/paint.ts';
import type { Terminal } from '../terminal.ts';

/** Flags that every command has. */
export interface CommonFlags extends ClusterFlags {
  namespace?: string;
  allNamespaces?: boolean;
  selector?: string;
  output?: string;
  operatorNamespace: string;
  /** False after --no-color. */
  color: boolean;
}

/** What a command works with. */
export interface Context {
  kube: Kube;
  terminal: Terminal;
  paint: Paint;
  /** Undefined: all namespaces. */
  namespace: string | undefined;
  selector: string | undefined;
  format: Format;
  operatorNamespace: string;
  /** What the program is called here: `felucca`, or `kubectl felucca`. */
  program: string;
}

export async function openContext(
  flags: CommonFlags,
  terminal: Terminal,
  around: Surroundings & { program: string },
): Promise<Context> {
  const format = (flags.output ?? 'table') as Format;
  if (!FORMATS.includes(format))
    throw new Failure(`there is no output format "${flags.output}"`, `use one of ${FORMATS.join(', ')}`);
  if (flags.namespace !== undefined && flags.allNamespaces)
    throw new Failure('-n and -A exclude each other', 'leave one of them out');
  const [{ openConnection }, { Kube }] = await Promise.all([
    import('../kube/connection.ts'),
    import('../kube/client.ts'),
  ]);
  const connection = await openConnection(flags, around);
  return {
    kube: new Kube(connection),
    terminal,
    paint: paintFor(terminal.hasColors && flags.color),
    namespace: flags.namespace ?? (flags.allNamespaces ? undefined : connection.namespace),
    selector: flags.selector,
    format,
    operatorNamespace: flags.operatorNamespace,
    program: around.program,
  };
}
