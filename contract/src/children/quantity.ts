const SUFFIXES: Record<string, number> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** A Kubernetes quantity as a number; undefined when it is none. */
export function quantity(value: unknown): number | undefined {
  const match = /^(\d{1,15}(?:\.\d{1,9})?)([numkMGTPE]|[KMGTPE]i)?$/.exec(String(value));
  if (!match) return undefined;
  // Rounded to 12 digits, so that 0.1 and 100m meet.
  return Number((Number(match[1]) * (SUFFIXES[match[2] ?? ''] ?? 1)).toPrecision(12));
}
