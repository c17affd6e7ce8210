import { keyOf, type Target } from './api-request.ts';

/** One line of a watch, and what it says. */
export interface Frame {
  readonly line: Buffer;
  /** ADDED, MODIFIED, DELETED, BOOKMARK, ERROR; '' when the line can't be read. */
  readonly type: string;
  /** As of a request: `<resource>[.<group>]/[<namespace>/]<name>`; '' of a bookmark or an error. */
  readonly key: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** Part of a streamed list: what was there before the watch began. */
  readonly initial: boolean;
  /** The bookmark that ends a streamed list. */
  readonly endsList: boolean;
}

const MAX_LINE_BYTES = 16 << 20;
const NEWLINE = 0x0a;

/** Cuts the chunks of a watch into its lines; a line keeps its newline. */
export class LineSplitter {
  #rest: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): Buffer[] {
    const data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const lines: Buffer[] = [];
    let from = 0;
    for (let at = data.indexOf(NEWLINE); at >= 0; at = data.indexOf(NEWLINE, from)) {
      lines.push(data.subarray(from, at + 1));
      from = at + 1;
    }
    this.#rest = data.subarray(from);
    if (this.#rest.length > MAX_LINE_BYTES)
      throw new Error(`a line of a watch is longer than ${MAX_LINE_BYTES} bytes`);
    return lines;
  }
}

interface WireEvent {
  type?: string;
  object?: {
    metadata?: {
      name?: string;
      namespace?: string;
      uid?: string;
      resourceVersion?: string;
      annotations?: Record<string, string>;
    };
  };
}

export function readFrame(line: Buffer, watched: Target, initial: boolean): Frame {
  let event: WireEvent = {};
  try {
    event = JSON.parse(line.toString()) as WireEvent;
  } catch {
    // Passed on as it is: what to make of it is the operator's business.
  }
  const { type = '', object } = event;
  const { name, namespace, uid = '', resourceVersion = '', annotations } = object?.metadata ?? {};
  const isObject = type !== 'BOOKMARK' && type !== 'ERROR' && name !== undefined;
  const { group, version, resource } = watched;
  const target: Target = { group, version, resource, ...(namespace ? { namespace } : {}), name: name ?? '' };
  return {
    line,
    type,
    key: isObject ? keyOf(target) : '',
    uid,
    resourceVersion,
    initial,
    endsList: type === 'BOOKMARK' && annotations?.['k8s.io/initial-events-end'] === 'true',
  };
}

const encode = (type: string, object: unknown): Buffer =>
  Buffer.from(`${JSON.stringify({ type, object })}\n`);

/** What an API server says when the place of a watch was compacted away. */
export const expired: Buffer = encode('ERROR', {
  kind: 'Status',
  apiVersion: 'v1',
  status: 'Failure',
  reason: 'Expired',
  message: 'too old resource version',
  code: 410,
});
