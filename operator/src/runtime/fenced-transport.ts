import { ANNOTATIONS, isRecord, type KubeObject, pointer } from '@felucca/contract';
import type { KubeRequest, KubeResponse, KubeStream, Transport } from './transport.ts';

/** The right to write: a Lease that is certainly still ours. */
export interface Fence {
  /** `<lease>/<term>`, which the admission policy compares. @throws when somebody else may lead by now. */
  stamp(): string;
}

/**
 * How a leader writes. Nothing leaves once the Lease may have expired by our own clock, and what left carries the
 * term, so that the API server refuses it should it arrive after the next leader began. Reads pass.
 */
export class FencedTransport implements Transport {
  readonly #inner: Transport;
  readonly #fence: Fence;

  constructor(inner: Transport, fence: Fence) {
    this.#inner = inner;
    this.#fence = fence;
  }

  async request(request: KubeRequest): Promise<KubeResponse> {
    if (request.method === 'GET') return this.#inner.request(request);
    const stamp = this.#fence.stamp();
    // Asked again before each attempt: one may follow another by many seconds.
    const beforeSend = (): void => void this.#fence.stamp();
    return this.#inner.request({ ...request, ...stamped(request, stamp), beforeSend });
  }

  stream(request: KubeRequest): Promise<KubeStream> {
    return this.#inner.stream(request);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

/** A deletion has nothing to put a stamp on; the policy knows its pod, and the UID what it may hit. */
function stamped({ method, path, subresource, body }: KubeRequest, stamp: string): Pick<KubeRequest, 'body'> {
  if (method === 'DELETE') return {};
  if (Array.isArray(body)) return { body: [...body, { op: 'add', path: TERM_POINTER, value: stamp }] };
  if (!isRecord(body)) throw new Error(`${method} ${path}: a leader's write needs a body to carry its term`);
  // A write of the status changes nothing else, so annotations would be lost.
  if (subresource === 'status')
    return { body: { ...body, status: { ...recordOf(body.status), term: stamp } } };
  const metadata = recordOf(body.metadata);
  const annotations = { ...recordOf(metadata.annotations), [ANNOTATIONS.term]: stamp };
  return { body: { ...body, metadata: { ...metadata, annotations } } };
}

const TERM_POINTER = pointer('', 'metadata', 'annotations', ANNOTATIONS.term);
const recordOf = (value: unknown): Record<string, unknown> => (isRecord(value) ? value : {});

/** Of all stamps that objects carry, of whichever Lease; 0 when there is none. */
export function highestTerm(objects: Iterable<KubeObject>): number {
  let highest = 0;
  for (const stamp of stampsOf(objects))
    highest = Math.max(highest, Number(/\/(\d{1,9})$/.exec(stamp)?.[1] ?? 0));
  return highest;
}

/** Whether an object was written by the right of this Lease. */
export function showsTermOf(lease: string, objects: Iterable<KubeObject>): boolean {
  for (const stamp of stampsOf(objects)) if (stamp.startsWith(`${lease}/`)) return true;
  return false;
}

function* stampsOf(objects: Iterable<KubeObject>): Iterable<string> {
  for (const { metadata, status } of objects)
    for (const stamp of [metadata.annotations?.[ANNOTATIONS.term], recordOf(status).term])
      if (typeof stamp === 'string') yield stamp;
}
