// Reads a little of an object's JSON without parsing it. Half of an object is managedFields, which no cache
// needs; and most answers to our own writes are wanted for their resourceVersion alone.
//
// The scan knows where it is (inside strings, how deep), because the same words may be an annotation's key or
// a parameter of a tenant: a plain search for `"managedFields":[` can be deceived by both.

export interface MetadataScan {
  name?: string;
  namespace?: string;
  resourceVersion?: string;
  uid?: string;
  /** Bytes [start, end) of `"managedFields":[…]` with the comma that has to go with it. */
  managedFields?: [start: number, end: number];
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;

const METADATA = Buffer.from('"metadata"');
const OBJECT = Buffer.from('"object"');
const MANAGED_FIELDS = Buffer.from('"managedFields"');
const WANTED = (['name', 'namespace', 'resourceVersion', 'uid'] as const).map(
  (field) => [Buffer.from(`"${field}"`), field] as const,
);

/** Of an object, or of a watch event that has it under `object`. Anything unexpected gives an empty scan. */
export function scanMetadata(json: Buffer): MetadataScan {
  const scan: MetadataScan = {};
  const metadata = findMetadata(json, skipSpace(json, 0));
  if (metadata >= 0) readMetadata(json, metadata, scan);
  return scan;
}

/** Where metadata's `{` is, or -1. Stops there: spec and status come later and are never looked at. */
function findMetadata(json: Buffer, root: number): number {
  if (json[root] !== OPEN_OBJECT) return -1;
  let at = skipSpace(json, root + 1);
  while (json[at] === QUOTE) {
    const keyEnd = skipString(json, at);
    const value = skipSpace(json, skipSpace(json, keyEnd) + 1);
    if (isKey(json, at, keyEnd, METADATA)) return json[value] === OPEN_OBJECT ? value : -1;
    if (isKey(json, at, keyEnd, OBJECT)) return findMetadata(json, value);
    at = nextMember(json, skipValue(json, value));
  }
  return -1;
}

function readMetadata(json: Buffer, start: number, scan: MetadataScan): void {
  let at = skipSpace(json, start + 1);
  while (json[at] === QUOTE) {
    const keyEnd = skipString(json, at);
    const value = skipSpace(json, skipSpace(json, keyEnd) + 1);
    const end = skipValue(json, value);
    if (json[value] === QUOTE) {
      for (const [key, field] of WANTED)
        if (isKey(json, at, keyEnd, key)) scan[field] = json.toString('utf8', value + 1, end - 1);
    } else if (json[value] === OPEN_ARRAY && isKey(json, at, keyEnd, MANAGED_FIELDS)) {
      const comma = skipSpace(json, end);
      scan.managedFields = json[comma] === COMMA ? [at, comma + 1] : [previousComma(json, at), end];
    }
    at = nextMember(json, end);
  }
}

/** For the last member of an object the comma before it has to go. */
function previousComma(json: Buffer, keyStart: number): number {
  let at = keyStart - 1;
  while (isSpace(json[at])) at--;
  return json[at] === COMMA ? at : keyStart;
}

function isKey(json: Buffer, start: number, end: number, key: Buffer): boolean {
  if (end - start !== key.length) return false;
  for (let at = 1; at < key.length; at++) if (json[start + at] !== key[at]) return false;
  return true;
}

/** The next key's quote; anything else ends the object. */
function nextMember(json: Buffer, end: number): number {
  const comma = skipSpace(json, end);
  return json[comma] === COMMA ? skipSpace(json, comma + 1) : json.length;
}

const isSpace = (byte: number | undefined): boolean =>
  byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;

function skipSpace(json: Buffer, from: number): number {
  let at = from;
  while (isSpace(json[at])) at++;
  return at;
}

/** `from` is the opening quote; returns the place after the closing one. Keys are short: a loop beats `indexOf`. */
function skipString(json: Buffer, from: number): number {
  const length = json.length;
  for (let at = from + 1; at < length; at++) {
    const byte = json[at];
    if (byte === QUOTE) return at + 1;
    if (byte === BACKSLASH) at++;
  }
  return length;
}

function skipValue(json: Buffer, from: number): number {
  const first = json[from];
  if (first === QUOTE) return skipString(json, from);
  let at = from;
  if (first !== OPEN_OBJECT && first !== OPEN_ARRAY) {
    while (at < json.length && json[at] !== COMMA && json[at] !== CLOSE_OBJECT && json[at] !== CLOSE_ARRAY)
      at++;
    return at;
  }
  for (let depth = 0; at < json.length; ) {
    const byte = json[at];
    if (byte === QUOTE) {
      at = skipString(json, at);
      continue;
    }
    at++;
    if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) depth++;
    else if ((byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) && --depth === 0) return at;
  }
  return at;
}

/** Parses without the managedFields. */
export function parseWithoutManagedFields(json: Buffer, scan: MetadataScan = scanMetadata(json)): unknown {
  if (!scan.managedFields) return JSON.parse(json.toString());
  const [start, end] = scan.managedFields;
  return JSON.parse(json.toString('utf8', 0, start) + json.toString('utf8', end));
}
