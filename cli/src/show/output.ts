import type { KubeObject, LiveObject } from '@felucca/contract';
import { Failure } from '../failure.ts';
import type { Terminal } from '../terminal.ts';

export const FORMATS = ['table', 'wide', 'json', 'yaml', 'name'] as const;
export type Format = (typeof FORMATS)[number];

/** One answer in every form that it can be asked for. */
export interface Answer {
  /** For json and yaml. */
  data: unknown;
  /** `<resource>.<group>/<name>`, one a line. */
  names?: readonly string[];
  /** For people. */
  text(wide: boolean): string;
}

/** An object without what only the API server reads, as kubectl shows it. */
export function withoutManagedFields<T extends KubeObject>(object: T): T {
  const { managedFields: _, ...metadata } = object.metadata as LiveObject['metadata'];
  return { ...object, metadata };
}

export async function show(terminal: Terminal, format: Format, answer: Answer): Promise<void> {
  terminal.out(await render(format, answer));
}

export async function render(format: Format, answer: Answer): Promise<string> {
  switch (format) {
    case 'json':
      return `${JSON.stringify(answer.data, null, 2)}\n`;
    case 'yaml': {
      const { stringify } = await import('yaml');
      return stringify(JSON.parse(JSON.stringify(answer.data)), { lineWidth: 0 });
    }
    case 'name':
      if (!answer.names) throw new Failure('this answer has no names', 'use -o table, json or yaml');
      return answer.names.map((name) => `${name}\n`).join('');
    default:
      return answer.text(format === 'wide');
  }
}
