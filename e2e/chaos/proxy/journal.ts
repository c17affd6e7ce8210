import { type ApiRequest, isWrite, type Verb } from './api-request.ts';
import type { Answer } from './fault.ts';
import type { Frame } from './frames.ts';

export interface RecordedWrite {
  readonly request: number;
  readonly atMs: number;
  readonly verb: Verb;
  readonly key: string;
  /** 0 until the API server answered. */
  status: number;
  /** Of the object in the answer; a write that changed nothing gives the version that was there before. */
  resourceVersion: string;
}

export interface RecordedEvent {
  readonly atMs: number;
  readonly type: string;
  readonly key: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly initial: boolean;
}

const MAX_RECORDS = 200_000;

/** Everything that went through the proxy and may matter to a test: writes, and what the watches told. */
export class Journal {
  readonly writes: RecordedWrite[] = [];
  readonly events: RecordedEvent[] = [];
  requests = 0;
  readonly #open = new Map<number, RecordedWrite>();

  request(request: ApiRequest): void {
    this.requests += 1;
    if (!isWrite(request) || this.writes.length >= MAX_RECORDS) return;
    const { id, atMs, verb, key } = request;
    const write: RecordedWrite = { request: id, atMs, verb, key, status: 0, resourceVersion: '' };
    this.writes.push(write);
    this.#open.set(id, write);
  }

  answer({ id }: ApiRequest, { status, body }: Answer): void {
    const write = this.#open.get(id);
    if (!write) return;
    this.#open.delete(id);
    write.status = status;
    write.resourceVersion = versionIn(body);
  }

  event({ type, key, uid, resourceVersion, initial }: Frame): void {
    if (key === '' || this.events.length >= MAX_RECORDS) return;
    this.events.push({ atMs: performance.now(), type, key, uid, resourceVersion, initial });
  }

  clear(): void {
    this.writes.length = 0;
    this.events.length = 0;
    this.requests = 0;
    this.#open.clear();
  }
}

function versionIn(body: Buffer): string {
  try {
    const { metadata } = JSON.parse(body.toString()) as { metadata?: { resourceVersion?: string } };
    return metadata?.resourceVersion ?? '';
  } catch {
    return '';
  }
}
