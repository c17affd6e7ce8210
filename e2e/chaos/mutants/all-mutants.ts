import { FEED_MUTANTS } from './feed-mutants.ts';
import type { Mutant } from './mutant.ts';
import { RECONCILER_MUTANTS } from './reconciler-mutants.ts';
import { RESTORE_MUTANTS } from './restore-mutants.ts';
import { RUNTIME_MUTANTS } from './runtime-mutants.ts';
import { SEALING_MUTANTS } from './sealing-mutants.ts';
import { SYNC_MUTANTS } from './sync-mutants.ts';

export const MUTANTS: readonly Mutant[] = [
  ...RUNTIME_MUTANTS,
  ...RECONCILER_MUTANTS,
  ...SYNC_MUTANTS,
  ...FEED_MUTANTS,
  ...SEALING_MUTANTS,
  ...RESTORE_MUTANTS,
];
