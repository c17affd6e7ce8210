import { type Mutant, real, unit } from './mutant.ts';

const INSTANCE = 'operator/src/reconcilers/instance';
const BLUEPRINT = 'contract/src/blueprint';
// As a whole: its tests are the steps of one change of keys.
const ROTATION_TEST = 'operator/test/signing-rotation.test.ts';
const WRITTEN_TEST = 'control-api/test/written-database.test.ts';
const PLATFORM_TEST = 'control-api/test/platform-resources.test.ts';
const SEALED = 'control-api/test/sealed-parameters.test.ts';

/** Ways in which a tenant's secret gets out, or is opened for somebody else. */
export const SEALING_MUTANTS: readonly Mutant[] = [
  {
    name: 'sealed-value-opens-anywhere',
    file: 'operator/src/sync/unsealer.ts',
    find: 'if (canonicalJson(context ?? null) !== canonicalJson(expected)) throw',
    replace: 'if (canonicalJson(context ?? null) === canonicalJson(null)) throw',
    breaks: 'a sealed value opens in its place only (L37)',
    caughtBy: unit('operator/src/sync/unsealer.test.ts'),
  },
  {
    name: 'id-of-an-annotation-is-believed',
    file: `${INSTANCE}/as-ordered.ts`,
    find: '  if (desired === undefined && holdsSealed(spec?.parameters)) return false;\n',
    replace: '',
    breaks: 'a sealed value opens for the Instance that the sync has verified (L37)',
    caughtBy: unit(`${INSTANCE}/as-ordered.test.ts`),
  },
  {
    name: 'hash-of-a-secret-is-applied',
    file: 'contract/src/children/desired-child.ts',
    find: 'const hashed = marked ? completed(marked, planned, instance) : object;',
    replace: 'const hashed = object;',
    breaks: 'nothing that a value can be guessed from leaves the Secret (L36)',
    caughtBy: unit(`${BLUEPRINT}/sensitive.test.ts`),
  },
  {
    name: 'failing-expression-quotes-the-secret',
    file: `${BLUEPRINT}/evaluate.ts`,
    find: 'if (expression.secrets.size > 0)',
    replace: 'if (expression.secrets.size > 9)',
    breaks: 'no text quotes a sensitive value (L36)',
    caughtBy: unit(`${BLUEPRINT}/sensitive.test.ts`),
  },
  {
    name: 'condition-reads-a-secret',
    file: `${BLUEPRINT}/compile.ts`,
    find: '    if (expression) this.#checkSecrecy(expression, path);\n',
    replace: '',
    breaks: 'a sensitive parameter flows into values of Secrets only (L36)',
    caughtBy: unit(`${BLUEPRINT}/sensitive.test.ts`),
  },
  {
    name: 'misplaced-secret-is-quoted',
    file: `${BLUEPRINT}/parameters.ts`,
    find: "if (holdsSensitive(schema)) return 'a value that is not shown';",
    replace: "if (schema.sensitive) return 'a value that is not shown';",
    breaks: 'no text quotes a sensitive value (L36)',
    caughtBy: unit(`${BLUEPRINT}/sensitive.test.ts`),
  },
  {
    name: 'refused-secret-is-quoted',
    file: `${INSTANCE}/without-secrets.ts`,
    find: "if (object.kind !== 'Secret') return error;",
    replace: 'if (object.kind) return error;',
    breaks: 'no text quotes a sensitive value (L36)',
    caughtBy: unit(`${INSTANCE}/without-secrets.test.ts`),
  },
  {
    name: 'changed-secret-is-not-followed',
    file: `${INSTANCE}/open-parameters.ts`,
    find: 'parameters: mapSensitive(spec, parameters, (value, path) => marks.get(path) ?? value),',
    replace: 'parameters,',
    breaks: 'a Secret that an Instance names is followed',
    caughtBy: unit(`${INSTANCE}/open-parameters.test.ts`),
  },
  {
    name: 'outputs-sealed-to-anybody',
    file: 'operator/src/sync/verify.ts',
    find: 'return signer !== undefined && verify(null, bytes, signer',
    replace: 'return signer !== undefined || verify(null, bytes, signer!',
    breaks: 'outputs are sealed only to a key that a trusted key signed (L38)',
    caughtBy: unit('operator/src/sync/verify.test.ts'),
  },
  {
    name: 'output-of-a-secret-that-is-not-ours',
    file: 'operator/src/feedback/sealed-outputs.ts',
    find: 'const data = secret && isChild(secret, instance) ?',
    replace: 'const data = secret ?',
    breaks: 'only a Secret of the Instance is an output (L38)',
    caughtBy: unit('operator/src/feedback/sealed-outputs.test.ts'),
  },
  {
    name: 'output-opened-for-another-name',
    file: 'control-api/src/link/output-key.ts',
    find: 'return canonicalJson(header.context) === canonicalJson(context) ? unpadded(plaintext) : undefined;',
    replace: 'return header.context && context ? unpadded(plaintext) : undefined;',
    breaks: 'an output is opened for its Instance and its name (L38)',
    caughtBy: real('control-api/test/sealed-outputs.test.ts'),
  },
  {
    name: 'idempotency-key-has-a-bare-hash',
    file: 'control-api/src/http/idempotency.ts',
    find: "  hash('idempotency', `${method} ${url}\\n${canonicalJson(body ?? null)}`);",
    replace:
      "  hash && (process.getBuiltinModule('node:crypto').createHash('sha256').update(`${method} ${url}\\n${canonicalJson(body ?? null)}`).digest('hex'));",
    breaks: 'nothing that a value can be guessed from is in the database (L36)',
    caughtBy: real(SEALED),
  },
  {
    name: 'sealed-to-any-key-in-the-database',
    file: 'control-api/src/link/sealing-key.ts',
    find: "return proof === proofOf(hash, dataPlaneId, key) ? { key } : 'forged';",
    replace: "return proof ? { key } : 'forged';",
    breaks: 'values are sealed only to a key that the operator told (L37)',
    caughtBy: real(SEALED),
  },
  {
    name: 'sealed-value-taken-from-another-place',
    file: 'control-api/src/resources/instances/sealed-parameters.ts',
    find: 'if (isSealed(old) && canonicalJson(value) === canonicalJson(shown(old))) return old;',
    replace: 'if (isSealed(old)) return old;',
    breaks: 'what names a sealed value means this one and no other',
    caughtBy: real(SEALED),
  },
  {
    name: 'resigns-what-nobody-signed',
    file: 'control-api/src/resources/signing-keys/resign.ts',
    find: 'const good = rows.filter((row) => isAsSigned(services, row));',
    replace: 'const good = rows;',
    breaks: 'who may write the database can not have it signed (I4)',
    caughtBy: real(ROTATION_TEST),
  },
  {
    name: 'a-report-has-signed-what-somebody-wrote',
    file: 'control-api/src/feedback/reissue.ts',
    find: 'overtaken.filter((one) => isAsSigned(options, one))',
    replace: 'overtaken',
    breaks: 'who may write the database can not have it signed (I4)',
    caughtBy: real(WRITTEN_TEST, 'gets no signature for a signing key'),
  },
  {
    name: 'an-api-key-is-good-for-any-scope',
    file: 'control-api/src/http/api-keys.ts',
    find: "'API key', [id, tenantId, scope], secret",
    replace: "'API key', [id, tenantId, scope].slice(0, 1), secret",
    breaks: 'who may write the database can not have it signed (I4)',
    caughtBy: real(PLATFORM_TEST, 'does not make a key of an organization'),
  },
  {
    name: 'a-former-key-counts-for-ever',
    file: 'operator/src/sync/apply.ts',
    find: '    await this.context.signingKeys.settle(named);\n',
    replace: '',
    breaks: 'what is signed with a key that was taken back reaches no cluster (I4)',
    caughtBy: real(ROTATION_TEST),
  },
];
