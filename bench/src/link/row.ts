import { ms, quantile } from '../table.ts';

/** One line of the result. */
export interface Row {
  what: string;
  goal: string;
  measured: string;
  /** Undefined where there is nothing to hold: context, or the naive way. */
  holds?: boolean;
}

export const p50 = (samples: readonly number[]): number => quantile(samples, 0.5);
export const p99 = (samples: readonly number[]): number => quantile(samples, 0.99);
export const spread = (samples: readonly number[]): string =>
  `p50 ${ms(p50(samples))}, p99 ${ms(p99(samples))}`;
export const perSecond = (count: number, tookMs: number): number => (count * 1_000) / tookMs;
export const whole = (value: number): string => Math.round(value).toLocaleString('en-US');
export const seconds = (valueMs: number): string => `${(valueMs / 1_000).toFixed(1)} s`;
export const mebibytes = (bytes: number): string => `${Math.round(bytes / 1024 / 1024)} MiB`;

/** "12 of this, 3 of that"; "" when nothing happened. */
export const listed = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([what, count]) => `${whole(count)} ${what}`)
    .join(', ');

/** What must not happen to an agent, whatever becomes of the processes it talks to. */
export function faultsOf(counts: Readonly<Record<string, number>>): Record<string, number> {
  const harmless =
    /^(hello resume|lost (network|closed|drain_\w+|http_503)|refused 503|report (200|409|503|lost))$/;
  return Object.fromEntries(Object.entries(counts).filter(([what]) => !harmless.test(what)));
}
