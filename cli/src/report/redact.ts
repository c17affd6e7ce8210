import { counted, isRecord, type KubeObject } from '@felucca/contract';

const MASK = '(removed)';
/** Names under which people keep what nobody else may read. */
const SECRET_NAME =
  /pass(word|phrase|wd)?|secret|token|credential|private|api[-_]?key|access[-_]?key|auth(?!or)/i;
/** Copies of whole objects, secrets included. */
const COPIES = ['kubectl.kubernetes.io/last-applied-configuration'];

/** An object for a ticket: no secret values, nothing that only machines read. Sensitive parameters are named by the caller. */
export function redactObject(
  object: KubeObject,
  sensitiveParameters: ReadonlySet<string> = new Set(),
): KubeObject {
  const copy = structuredClone(object) as KubeObject & Record<string, unknown>;
  const metadata = copy.metadata as KubeObject['metadata'] & { managedFields?: unknown };
  delete metadata.managedFields;
  for (const name of COPIES)
    if (metadata.annotations?.[name] !== undefined) metadata.annotations[name] = MASK;
  if (copy.kind === 'Secret') for (const field of ['data', 'stringData']) copy[field] = sizesOf(copy[field]);
  if (copy.kind === 'ConfigMap')
    for (const field of ['data', 'binaryData']) copy[field] = sizesOf(copy[field]);
  if (copy.kind === 'Instance' && isRecord(copy.spec) && isRecord(copy.spec.parameters))
    for (const name of Object.keys(copy.spec.parameters))
      if (sensitiveParameters.has(name)) copy.spec.parameters[name] = MASK;
  return redactValue(copy) as KubeObject;
}

/** Which keys there are explains a failure; what they hold is somebody's own. */
const sizesOf = (data: unknown): unknown =>
  isRecord(data)
    ? Object.fromEntries(
        Object.entries(data).map(([key, value]) => [
          key,
          `(removed: ${counted(String(value).length, 'character')})`,
        ]),
      )
    : undefined;

function redactValue(value: unknown, name = ''): unknown {
  if (typeof value === 'string') {
    if (value.startsWith('(removed')) return value;
    return SECRET_NAME.test(name) && !isReference(name) ? MASK : redactText(value);
  }
  if (Array.isArray(value)) return value.map((item) => redactValue(item, name));
  if (!isRecord(value)) return value;
  // An environment variable carries its name beside its value.
  const isVariable = typeof value.name === 'string' && typeof value.value === 'string';
  const entries = Object.entries(value).map(([key, item]): [string, unknown] => [
    key,
    isVariable && key === 'value' ? redactValue(item, String(value.name)) : redactValue(item, key),
  ]);
  return Object.fromEntries(entries);
}

/** `secretName`, `secretRef`, `tokenExpirationSeconds`: these say where a secret is, and not what it is. */
const isReference = (name: string): boolean =>
  /(name|ref|refs|keyref|kind|path|seconds|policy|mode|type|class|provider|account|manager)$/i.test(name) ||
  /^(automount|kubernetes\.io|felucca\.dev)/i.test(name);

/** Of free text, such as a log: what looks like a credential. */
export function redactText(text: string): string {
  return text
    .replace(/\beyJ[\w-]{8,}\.[\w-]{8,}(\.[\w-]*)?/g, '(removed: token)')
    .replace(/\bf(?:j|el)_[\w-]{20,}/g, '(removed: token)')
    .replace(/\b(Bearer|Basic|Felucca)\s+[\w.~+/=-]{8,}/gi, '$1 (removed)')
    .replace(/([a-z][a-z0-9+.-]*:\/\/[^\s:/@]+):[^\s/@]+@/gi, '$1:(removed)@')
    .replace(
      /((?:pass(?:word|phrase|wd)?|secret|token|credential|api[-_]?key)["']?\s*[=:]\s*["']?)[^\s"',;&]+/gi,
      '$1(removed)',
    )
    .replace(
      /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g,
      '(removed: private key)',
    );
}
