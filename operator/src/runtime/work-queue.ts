/** From the most urgent on. `user`: somebody changed something; `repair`: we must; `resync`: a periodic look. */
export const PRIORITIES = ['user', 'repair', 'resync'] as const;
export type Priority = (typeof PRIORITIES)[number];

export interface AddOptions {
  /** Default `user`. A key that already waits keeps the more urgent of both. */
  priority?: Priority;
  /** Not before this time; the earlier of two wins. */
  afterMs?: number;
}
