import { createHash } from 'node:crypto';

/**
 * JSON with sorted keys and without undefined: the same value gives the same bytes on both sides
 * of the link and in jsonb, which does not keep key order. Numbers follow JSON.stringify (RFC 8785).
 * @throws if nested deeper than 64 levels: no product needs that, and recursion stays bounded.
 */
export function canonicalJson(value: unknown, depth = 0): string {
  if (depth > 64) throw new Error('value is nested deeper than 64 levels; flatten it');
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null';
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item, depth + 1)).join(',')}]`;
  const entries = Object.entries(value as Record<string, unknown>)
    .filter(([, item]) => item !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item, depth + 1)}`).join(',')}}`;
}

/** `sha256:<64 hex>` of the canonical JSON. */
export function digestOf(value: unknown): string {
  return `sha256:${createHash('sha256').update(canonicalJson(value)).digest('hex')}`;
}
