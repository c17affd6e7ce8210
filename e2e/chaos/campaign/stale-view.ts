import type { ApiRequest } from '../proxy/api-request.ts';
import type { Fault, FrameVerdict, RequestVerdict, WatchStream } from '../proxy/fault.ts';
import type { Frame } from '../proxy/frames.ts';

/** What one watch has told so far. */
interface Told {
  /** Request of the watch; an older one may still hold lines for somebody who is gone. */
  readonly watch: number;
  readonly objects: Map<string, unknown>;
  resourceVersion: string;
}

/**
 * Plays an API server whose cache has stopped: no watch tells anything new, and a list streamed for a new watch is the
 * one from then, if whoever asks names a version that is good enough. Without a version a list is what a quorum knows
 * when it is asked for, also when it is streamed: it comes from the real API server, as reads do and writes go there.
 */
export class StaleView implements Fault {
  readonly #told = new Map<string, Told>();
  #thawed: Promise<void> | undefined;
  #thaw: () => void = () => undefined;

  get isFrozen(): boolean {
    return this.#thawed !== undefined;
  }

  /** From now on; resolves when it ends. */
  freeze(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#thawed ??= promise;
    this.#thaw = resolve;
    return this.#thawed;
  }

  thaw(): void {
    this.#thawed = undefined;
    this.#thaw();
  }

  request(request: ApiRequest): RequestVerdict {
    if (request.verb !== 'watch') return undefined;
    const url = new URL(request.path, 'https://api');
    const told = this.#told.get(watched(request));
    const isList = url.searchParams.get('sendInitialEvents') === 'true';
    const isOfCache = (url.searchParams.get('resourceVersion') ?? '') !== '';
    const goesOn = told !== undefined && (!isList || (this.isFrozen && isOfCache));
    const { objects, resourceVersion } = goesOn
      ? told
      : { objects: new Map<string, unknown>(), resourceVersion: '' };
    this.#told.set(watched(request), { watch: request.id, objects, resourceVersion });
    if (!isList || !goesOn) return undefined;
    for (const name of ['sendInitialEvents', 'resourceVersionMatch']) url.searchParams.delete(name);
    url.searchParams.set('resourceVersion', told.resourceVersion);
    return { do: 'send', path: `${url.pathname}${url.search}`, lines: listed(told) };
  }

  async frame(frame: Frame, watch: WatchStream): Promise<FrameVerdict> {
    if (!frame.initial && !frame.endsList) await this.#thawed;
    this.saw(frame, watch);
    return undefined;
  }

  /** Also of lines that another fault does not let through: they are lost on the way, and the API server has them. */
  saw(frame: Frame, { request }: WatchStream): void {
    const told = this.#told.get(watched(request));
    if (told?.watch === request.id) remember(told, frame);
  }
}

function remember(told: Told, { type, key, line, resourceVersion }: Frame): void {
  if (type === '' || type === 'ERROR') return;
  told.resourceVersion = resourceVersion;
  if (type === 'DELETED') told.objects.delete(key);
  else if (key !== '') told.objects.set(key, (JSON.parse(line.toString()) as { object: unknown }).object);
}

const watched = ({ path }: ApiRequest): string => {
  const { pathname, searchParams } = new URL(path, 'https://api');
  return `${pathname}?${searchParams.get('labelSelector') ?? ''}`;
};

function listed({ objects, resourceVersion }: Told): Buffer[] {
  const annotations = { 'k8s.io/initial-events-end': 'true' };
  const events = [...objects.values()].map((object) => ({ type: 'ADDED', object }));
  const end = { type: 'BOOKMARK', object: { metadata: { resourceVersion, annotations } } };
  return [...events, end].map((event) => Buffer.from(`${JSON.stringify(event)}\n`));
}
