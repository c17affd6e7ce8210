import { type Mutant, real, unit } from './mutant.ts';

const SYNC = 'operator/src/sync';
const UNKNOWN_TEST = 'control-api/test/unknown-objects.test.ts';
const SYNC_TEST = 'operator/test/sync-restored.test.ts';

/** Mistakes that are seen only when the database goes back in time. */
export const RESTORE_MUTANTS: readonly Mutant[] = [
  {
    name: 'a-new-epoch-takes-the-cluster-back',
    file: `${SYNC}/rows.ts`,
    find: "if (entry.good?.id === op.id && op.generation < entry.good.generation) return 'generation';",
    replace:
      "if (entry.epoch === epoch && entry.good?.id === op.id && op.generation < entry.good.generation) return 'generation';",
    breaks: 'the applied generation of an object never goes down (I2)',
    caughtBy: unit(`${SYNC}/rows.test.ts`),
  },
  {
    name: 'a-name-given-anew-ends-its-former-owner',
    file: `${SYNC}/apply.ts`,
    find: 'return end?.op.id === id && end.op.generation >= applied ? end : undefined;',
    replace: "return end ?? { op: { kind, key, id, generation: applied, rev: '0', kid: '', sig: '' } };",
    breaks: 'only a tombstone that names it deletes an object (I3)',
    caughtBy: real(SYNC_TEST, 'keeps what was given the name meanwhile'),
  },
  {
    name: 'an-unknown-object-is-told-once',
    file: `${SYNC}/running-link.ts`,
    find: '      this.sink?.reportUnknown();\n',
    replace: '',
    breaks: 'a control plane that has forgotten is told again (I8)',
    caughtBy: real(SYNC_TEST, 'tells when an unknown object is gone'),
  },
  {
    name: 'anything-a-data-plane-tells-is-believed',
    file: 'control-api/src/feedback/unknown.ts',
    find: '  if (!signer.wasSigned(row, kid, sig)) return nothing;\n',
    replace: '',
    breaks: 'a data plane gives back only what it was given (I4)',
    caughtBy: real(UNKNOWN_TEST, 'gives back only what was signed'),
  },
  {
    name: 'the-next-order-is-below-the-cluster',
    file: 'control-api/src/resources/generation.ts',
    find: 'Math.max(row.generation, row.heldGeneration) + 1;',
    replace: 'row.generation + 1;',
    breaks: 'after a restore the next order is applied (I1)',
    caughtBy: real(UNKNOWN_TEST, 'or the next order goes above it'),
  },
  {
    name: 'an-early-order-stays-below',
    file: 'control-api/src/feedback/reissue.ts',
    find: '              AND d.rev > h.epoch_base\n',
    replace: '              AND d.rev < h.epoch_base\n',
    breaks: 'after a restore the next order is applied, whenever it comes (I1)',
    caughtBy: real(UNKNOWN_TEST, 'goes out again above it'),
  },
  {
    name: 'adopted-by-the-next-of-that-name',
    file: 'control-api/src/resources/unknown-objects/adopt.ts',
    find: '  if (id < organization.id)\n',
    replace: "  if (id === '')\n",
    breaks: 'an Instance stays with its tenant (I9)',
    caughtBy: real(UNKNOWN_TEST, 'goes to no other organization'),
  },
];
