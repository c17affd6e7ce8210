import { isDeepStrictEqual } from 'node:util';

export type Json = Record<string, unknown>;
export const isJson = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Stands for "without this field" where a value is expected. */
export const REMOVED = Symbol('removed');

export const pointerOf = (path: readonly string[]): string =>
  path.map((step) => `/${step.replaceAll('/', '~1')}`).join('');

export function valueAt(root: unknown, path: readonly string[]): unknown {
  let at = root;
  for (const step of path) at = Array.isArray(at) ? at[Number(step)] : isJson(at) ? at[step] : undefined;
  return at;
}

/** A copy with another value at `path`; parents that are missing are made, lists for steps that are numbers. */
export function withValue<T>(root: T, path: readonly string[], value: unknown): T {
  const copy = structuredClone(root);
  const parents = path.slice(0, -1);
  const last = path.at(-1);
  if (last === undefined) return value as T;
  let at = copy as Json;
  for (const [index, step] of parents.entries()) {
    at[step] ??= /^\d+$/.test(path[index + 1] ?? '') ? [] : {};
    at = at[step] as Json;
  }
  if (value !== REMOVED) at[last] = value;
  else if (Array.isArray(at)) at.splice(Number(last), 1);
  else delete at[last];
  return copy;
}

/** The first place in `root` with a value that a path with `*` means, or a place where one would be. */
export function concrete(root: unknown, path: readonly string[]): string[] {
  const places = placesOf(root, path);
  return places.find((place) => valueAt(root, place) !== undefined) ?? places[0] ?? [];
}

function placesOf(at: unknown, [step, ...rest]: readonly string[]): string[][] {
  if (step === undefined) return [[]];
  const keys = typeof at === 'object' && at !== null ? Object.keys(at) : [];
  const steps = step !== '*' ? [step] : keys.length > 0 ? keys : ['0'];
  return steps.flatMap((name) => placesOf(valueAt(at, [name]), rest).map((place) => [name, ...place]));
}

/** Pointers at which two values differ, at most 20. */
export function differences(a: unknown, b: unknown, path: readonly string[] = []): string[] {
  if (isDeepStrictEqual(a, b)) return [];
  const isSameKind = (isJson(a) && isJson(b)) || (Array.isArray(a) && Array.isArray(b));
  if (!isSameKind) return [pointerOf(path)];
  const keys = new Set([...Object.keys(a as object), ...Object.keys(b as object)]);
  return [...keys]
    .flatMap((key) => differences((a as Json)[key], (b as Json)[key], [...path, key]))
    .slice(0, 20);
}
