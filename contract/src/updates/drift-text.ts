import type { ParameterSchema } from '../blueprint/parameter-schema.ts';

const MAX_TEXT = 512;
const CUT = '…';
export const ABSENT = 'absent';

/** A value as a drift record tells it. */
export function driftText(value: unknown): string {
  if (value === undefined) return ABSENT;
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT - 1)}${CUT}` : text;
}

/** The way back, with the type that a parameter has; undefined when the text does not tell the value. */
export function driftValue(text: string, { type }: Pick<ParameterSchema, 'type'>): unknown {
  if (text === ABSENT || text === '' || text.length >= MAX_TEXT) return undefined;
  if (type === 'string') return text;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Who changed a field, for people; the record says `unknown` where no field manager tells. */
export const changer = (manager: string | undefined): string =>
  manager === undefined || manager === 'unknown' ? 'somebody' : manager;
