import { isWrite } from '../proxy/api-request.ts';
import type { Fault, FrameVerdict, WatchStream } from '../proxy/fault.ts';
import type { Frame } from '../proxy/frames.ts';
import type { Rig } from '../rig.ts';
import type { Plan } from './plans.ts';
import { type Point, PointCounter, pointId } from './points.ts';
import type { StaleView } from './stale-view.ts';

/** Longer than a status waits for a better one. */
const DELAY_MS = 1_300;
/** An event that nothing follows is found by the next list, as after a lost connection. */
const RELIST_AFTER_MS = 700;
const REPLAY_AFTER_MS = 300;
/** Long enough for the operator to act on what it sees, which is old. */
const STALE_MS = 500;
/** Some wait for what the operator can't do while it sees nothing. */
const MAX_STALE_MS = 2_500;
const RESTART_TIMEOUT_MS = 10_000;
/** The answer is with the operator; it may be in the middle of what comes next. */
const AFTER_ANSWER_MS = 3;
/** What a case ends with may be seen by others this long before it is here. */
const LATE_MS = 700;

const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A plan on its way through one case. */
export class Injection {
  readonly #rig: Rig;
  readonly #plan: Plan;
  readonly #counter: PointCounter;
  readonly #wanted: string;
  readonly #view: StaleView;
  readonly #undo: (() => void)[] = [];
  #hit = false;
  #isOver = false;
  #working: Promise<unknown> = Promise.resolve();
  /** A line that goes out again after the next of its key. */
  #replay: { frame: Frame; watch: WatchStream } | undefined;
  #suppressed: string | undefined;

  constructor(rig: Rig, view: StaleView, plan: Plan, id: string) {
    this.#rig = rig;
    this.#plan = plan;
    this.#wanted = pointId(plan.point);
    this.#counter = new PointCounter(id);
    this.#view = view;
  }

  /** The point came by. */
  get hit(): boolean {
    return this.#hit;
  }

  /** The operator sees nothing new, so nothing of it is to be waited for. */
  get blinds(): boolean {
    return this.#view.isFrozen;
  }

  arm(): void {
    const fault: Fault = this.#plan.point.of === 'write' ? this.#writeFault() : this.#eventFault();
    this.#undo.push(this.#rig.proxy.add(fault));
  }

  /** Somebody acts while the view is old: the operator gets the time to do the wrong thing, then it sees again. */
  async afterAct(): Promise<void> {
    if (!this.#view.isFrozen) return;
    await this.#working;
    await delay(STALE_MS);
    this.#view.thaw();
  }

  /** Nothing of it goes on any more. */
  async end(): Promise<void> {
    const until = performance.now() + LATE_MS;
    while (this.#undo.length > 0 && !this.#hit && performance.now() < until) await delay(20);
    await this.afterAct();
    await this.#working;
    for (const undo of this.#undo.splice(0)) undo();
    this.#isOver = true;
  }

  #isPoint(point: Point | undefined): boolean {
    if (this.#hit || point === undefined || pointId(point) !== this.#wanted) return false;
    this.#hit = true;
    return true;
  }

  #writeFault(): Fault {
    const { type } = this.#plan.point;
    const isIt = (request: Parameters<NonNullable<Fault['request']>>[0], status = 200): boolean =>
      isWrite(request) &&
      request.verb === type &&
      status < 300 &&
      this.#isPoint(this.#counter.next('write', request.verb, request.key));
    switch (this.#plan.fault) {
      case 'kill-before':
        return {
          request: async (request) => {
            if (!isIt(request)) return undefined;
            await this.#restart();
            return { do: 'disconnect' };
          },
        };
      case 'kill-committed':
        return {
          answer: async (request, { status }) => {
            if (!isIt(request, status)) return undefined;
            await this.#restart();
            return { do: 'disconnect' };
          },
        };
      default:
        return {
          answered: (request, { status }) => {
            if (isIt(request, status)) this.#working = delay(AFTER_ANSWER_MS).then(() => this.#restart());
          },
        };
    }
  }

  #eventFault(): Fault {
    return {
      frame: async (frame, watch) => {
        this.#followUp(frame);
        if (frame.key === '' || frame.initial) return undefined;
        if (!this.#isPoint(this.#counter.next('event', frame.type, frame.key))) return undefined;
        return this.#disturb(frame, watch);
      },
    };
  }

  async #disturb(frame: Frame, watch: WatchStream): Promise<FrameVerdict> {
    switch (this.#plan.fault) {
      case 'suppress':
        this.#view.saw(frame, watch);
        this.#suppressed = frame.key;
        this.#working = delay(RELIST_AFTER_MS).then(() => {
          if (this.#suppressed !== undefined) watch.expire();
        });
        return { lines: [] };
      case 'delay':
        this.#working = delay(DELAY_MS);
        await this.#working;
        return undefined;
      case 'duplicate':
        this.#view.saw(frame, watch);
        return { lines: [frame.line, frame.line] };
      case 'replay':
        this.#replay = { frame, watch };
        this.#working = delay(REPLAY_AFTER_MS).then(() => this.#sendAgain());
        return undefined;
      default: {
        const thawed = this.#view.freeze();
        this.#working = this.#plan.fault === 'time-travel' ? this.#listsAgain() : Promise.resolve();
        void this.#working.then(() => delay(MAX_STALE_MS)).then(() => this.#isOver || this.#view.thaw());
        await thawed;
        return undefined;
      }
    }
  }

  /** The next event of a key makes up for a lost one, and brings an old one out again. */
  #followUp({ key }: Frame): void {
    if (key === '') return;
    if (key === this.#suppressed) this.#suppressed = undefined;
    if (key === this.#replay?.frame.key) setImmediate(() => this.#sendAgain());
  }

  #sendAgain(): void {
    const { frame, watch } = this.#replay ?? {};
    this.#replay = undefined;
    if (frame) watch?.send(frame.line);
  }

  /** Until another operator has seen the frozen view. */
  async #listsAgain(): Promise<void> {
    const { proxy } = this.#rig;
    const newest = Math.max(0, ...proxy.watches.map(({ request }) => request.id));
    await this.#restart();
    const until = performance.now() + RESTART_TIMEOUT_MS;
    const isBack = (): boolean =>
      proxy.watches.some(({ request }) => request.id > newest && request.key === 'instances.felucca.dev');
    while (!isBack() && performance.now() < until) await delay(20);
  }

  async #restart(): Promise<void> {
    await this.#rig.operator.kill();
    this.#rig.operator.start();
  }
}
