import { createHash } from 'node:crypto';
import {
  type BlueprintSpec,
  canonicalJson,
  isRecord,
  isSealed,
  mapSensitive,
  padded,
  SEALING,
  type SealedContext,
  type SealedValue,
  sealedHeaderSchema,
  sealingJwk,
  sealingKeyId,
  sensitiveValues,
} from '@felucca/contract';
import { CompactEncrypt, decodeProtectedHeader, importJWK } from 'jose';
import type { KeyedHash } from '../../db/keyed-hash.ts';
import type { TenantTx } from '../../db/tenant.ts';
import { type FieldProblem, Problem } from '../../http/problems.ts';
import { findSealingKey } from '../../link/sealing-key.ts';

type Parameters = Record<string, unknown>;

/** Each is an agreement of keys, here and at every look of the operator. */
const MAX_SENSITIVE_VALUES = 64;
const MAX_ERRORS = 20;

/** Tells one sealed value from another, and nothing of either. */
const nameOf = ({ sealed }: SealedValue): string =>
  createHash('sha256').update(sealed).digest('base64url').slice(0, 22);

/** As people see them: a sealed value is its name, and stays what it is when somebody sends the name back. */
export function shownParameters(parameters: Parameters): Parameters {
  return shown(parameters) as Parameters;
}

function shown(value: unknown): unknown {
  if (isSealed(value)) return { sealed: nameOf(value) };
  if (Array.isArray(value)) return value.map(shown);
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, shown(item)]));
}

/** The way back: each name becomes the value that `kept` has at the same place. @throws Problem INVALID */
export function withKeptValues(blueprint: BlueprintSpec, given: Parameters, kept: Parameters): Parameters {
  const values = sensitiveValues(blueprint, kept);
  const errors: FieldProblem[] = [];
  const parameters = mapSensitive(blueprint, given, (value, path) => {
    // Anything else is a value, or the check of values says what is wrong with it.
    if (!isRecord(value) || !('sealed' in value)) return value;
    const old = values.get(path);
    if (isSealed(old) && canonicalJson(value) === canonicalJson(shown(old))) return old;
    errors.push({
      pointer: `/parameters${path}`,
      message: 'does not name the value that is kept here; a sealed value cannot be moved or read',
      remedy: 'send the value itself, or what GET shows at this very place',
    });
    return value;
  });
  if (errors.length > 0)
    throw new Problem('INVALID', 'Some sealed values are not known; see errors.', {
      errors: errors.slice(0, MAX_ERRORS),
    });
  return parameters;
}

/**
 * Seals each sensitive value that is still one to the key of its data plane, before any statement carries it. One that
 * is sent again stays as it was sealed, so that whoever always sends all of an order does not change it each time; only
 * under a new key it is sealed anew.
 * @throws Problem CANNOT_SEAL, INVALID
 */
export async function sealParameters(
  { tx, hash }: { tx: TenantTx; hash: KeyedHash },
  { blueprint, parameters, kept }: { blueprint: BlueprintSpec; parameters: Parameters; kept: Parameters },
  { instanceId, dataPlaneId }: { instanceId: string; dataPlaneId: string },
): Promise<Parameters> {
  const values = sensitiveValues(blueprint, parameters);
  const open = [...values].filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  if (open.length === 0) return parameters;
  if (values.size > MAX_SENSITIVE_VALUES) throw tooMany(values.size);
  const old = sensitiveValues(blueprint, kept);
  const found = await findSealingKey(tx, hash, dataPlaneId);
  if (found === undefined || found === 'forged') throw cannotSeal(found, open);
  const { key } = found;
  const sealed = new Map<string, SealedValue>();
  for (const [parameter, value] of open) {
    const context = { dataPlane: dataPlaneId, instance: instanceId, parameter };
    const fingerprint = hash('sealed value', canonicalJson([context, value]));
    const before = old.get(parameter);
    const isSame = isSealed(before) && isOf(before, fingerprint, sealingKeyId(key));
    sealed.set(parameter, isSame ? before : await seal(key, value, context, fingerprint));
  }
  return mapSensitive(blueprint, parameters, (value, path) => sealed.get(path) ?? value);
}

function isOf({ sealed }: SealedValue, fingerprint: string, kid: string): boolean {
  const header = sealedHeaderSchema.safeParse(decodeProtectedHeader(sealed)).data;
  return header?.fingerprint === fingerprint && header.kid === kid;
}

async function seal(
  key: string,
  value: string,
  context: SealedContext,
  fingerprint: string,
): Promise<SealedValue> {
  const sealed = await new CompactEncrypt(padded(value))
    .setProtectedHeader({ ...SEALING, kid: sealingKeyId(key), fingerprint, context })
    .encrypt(await importJWK(sealingJwk(key), SEALING.alg));
  return { sealed };
}

const tooMany = (count: number): Problem =>
  new Problem('INVALID', 'There are too many sensitive values; see errors.', {
    errors: [
      {
        pointer: '/parameters',
        message: `hold ${count} sensitive values, at most ${MAX_SENSITIVE_VALUES} are possible`,
        remedy: 'send fewer, or several in one text',
      },
    ],
  });

function cannotSeal(found: 'forged' | undefined, open: [string, string][]): Problem {
  const [message, remedy] = found
    ? [
        'cannot be sealed: the key that the database has for its data plane is not one that its operator told',
        'find out who wrote it, and restart that operator: it tells its own key again',
      ]
    : [
        'cannot be sealed: the operator of its data plane has not told a key yet',
        'wait until an operator of this version is connected there, and send it again',
      ];
  const errors = open
    .slice(0, MAX_ERRORS)
    .map(([path]) => ({ pointer: `/parameters${path}`, message, remedy }));
  return new Problem('CANNOT_SEAL', 'Nothing was kept, for some values are sensitive; see errors.', {
    errors,
  });
}
