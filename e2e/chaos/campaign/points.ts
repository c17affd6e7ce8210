import type { Journal } from '../proxy/journal.ts';
import { commonKey, isOfCase } from './names.ts';

/** Something that happened between operator and API server, named so that it is found again in another run. Pure. */
export interface Point {
  readonly of: 'write' | 'event';
  /** The verb of a write, the type of an event. */
  readonly type: string;
  readonly key: string;
  /** The how-manieth of its type and key, from 1. */
  readonly nth: number;
}

export const pointId = ({ of, type, key, nth }: Point): string => `${of}:${type}:${key}:${nth}`;

/** Neither says what the operator made of the cluster. */
const isAside = (key: string): boolean =>
  key.startsWith('leases.') || key.startsWith('events.') || key.startsWith('events/');

/** Counts what is seen, the same way in a learning run and under a fault. */
export class PointCounter {
  readonly #counts = new Map<string, number>();
  readonly #id: string;

  constructor(id: string) {
    this.#id = id;
  }

  /** Undefined for what is of another case, or no point at all. */
  next(of: Point['of'], type: string, key: string): Point | undefined {
    if (!isOfCase(key, this.#id) || isAside(key)) return undefined;
    const common = commonKey(key, this.#id);
    const counted = `${of} ${type} ${common}`;
    const nth = (this.#counts.get(counted) ?? 0) + 1;
    this.#counts.set(counted, nth);
    return { of, type, key: common, nth };
  }
}

/** Every effective write and every event that the operator was told, in order. */
export function pointsOf({ writes, events }: Pick<Journal, 'writes' | 'events'>, id: string): Point[] {
  const counter = new PointCounter(id);
  const points: (Point | undefined)[] = [];
  for (const { verb, key, status } of writes)
    if (status >= 200 && status < 300) points.push(counter.next('write', verb, key));
  for (const { type, key, initial } of events) if (!initial) points.push(counter.next('event', type, key));
  return points.filter((point) => point !== undefined);
}

/** What happened in every one of the runs: the rest depends on who was faster, and a fault could not hit it. */
export function commonPoints(runs: readonly (readonly Point[])[]): Point[] {
  const [first = [], ...others] = runs;
  const ids = others.map((points) => new Set(points.map(pointId)));
  return first.filter((point) => ids.every((set) => set.has(pointId(point))));
}
