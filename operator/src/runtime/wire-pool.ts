import { type Wire, WireError } from './wire.ts';

const MAX_WIRES = 4;
const MAX_WAITING = 10_000;

/** The connections of one purpose: normally one; more only while it is full; replaced when it goes away. */
export class WirePool {
  readonly #dial: () => Promise<Wire>;
  #wires: Wire[] = [];
  #dialing: Promise<Wire> | undefined;
  #waiting = 0;
  #closed = false;

  constructor(dial: () => Promise<Wire>) {
    this.#dial = dial;
  }

  /** A wire with room for one more request. */
  async take(signal: AbortSignal): Promise<Wire> {
    const ready = signal.aborted ? undefined : this.#ready();
    if (ready) return ready;
    if (this.#waiting >= MAX_WAITING)
      throw new WireError(`${MAX_WAITING} requests wait for a connection already`, false);
    this.#waiting++;
    try {
      for (;;) {
        if (signal.aborted)
          throw new WireError('given up while waiting for a connection', false, signal.reason);
        const wire = this.#ready();
        if (wire) return wire;
        if (this.#closed) throw new WireError('this client was closed', false);
        if (this.#wires.length < MAX_WIRES) await abortable(this.#connect(), signal);
        else await new Promise((resolve) => setTimeout(resolve, 5));
      }
    } finally {
      this.#waiting--;
    }
  }

  suspect(): void {
    for (const wire of this.#wires) wire.suspect();
  }

  /** What runs may end; what comes gets a new connection. */
  retire(): void {
    for (const wire of this.#wires.splice(0)) wire.drain();
  }

  close(): void {
    this.#closed = true;
    for (const wire of this.#wires.splice(0)) wire.destroy();
  }

  #ready(): Wire | undefined {
    const first = this.#wires[0];
    if (first?.usable && first.room > 0) return first;
    this.#wires = this.#wires.filter((wire) => wire.usable);
    return this.#wires.find((wire) => wire.room > 0);
  }

  #connect(): Promise<Wire> {
    this.#dialing ??= this.#dial()
      .then((wire) => {
        if (this.#closed) wire.destroy();
        else this.#wires.push(wire);
        return wire;
      })
      .finally(() => {
        this.#dialing = undefined;
      });
    return this.#dialing;
  }
}

/** The dial itself goes on: others wait for it too. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(new WireError('given up while connecting', false, signal.reason));
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
