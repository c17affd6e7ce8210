import type { ClusterError } from '../cluster.ts';

/** In the words of apimachinery and of the kinds that have their own; a new wording is an ApplyRejected. */
const FIXED = /\bimmutable\b|may not change once set|updates to statefulset spec for fields other/;

/**
 * Whether an object was refused because a field of it can't change. What is destroyed may depend on it, so nothing counts
 * that the author of the object could have put there: neither its name nor a value that the API server repeats.
 */
export const isImmutableRefusal = ({ status, causes }: ClusterError): boolean =>
  status === 422 && causes.some((cause) => FIXED.test(verdict(cause)));

/** `Forbidden: <words>`, some with a difference from the next line on, or `Invalid value: <value>: <words>`. */
function verdict(cause: string): string {
  if (cause.startsWith('Forbidden: ')) return cause.slice(0, cause.search(/\n|$/));
  return cause.slice(cause.lastIndexOf(': ') + 2);
}
