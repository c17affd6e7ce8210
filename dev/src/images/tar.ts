import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync, statSync, writeSync } from 'node:fs';

/** One member of an archive. Folders above it are added by `writeTar`; times and owners are always the same. */
export type TarEntry =
  | { readonly path: string; readonly mode: number; readonly content: Buffer | string }
  | { readonly path: string; readonly mode: number; readonly file: string }
  | { readonly path: string; readonly link: string }
  | { readonly path: string; readonly mode: number; readonly folder: true };

const block = 512;
const chunkBytes = 1024 * 1024;

/** Writes a ustar archive whose bytes depend on the entries only. Returns its SHA-256, hex. */
export function writeTar(output: string, entries: readonly TarEntry[]): string {
  const hash = createHash('sha256');
  const fd = openSync(output, 'w', 0o644);
  const put = (bytes: Uint8Array) => {
    hash.update(bytes);
    writeSync(fd, bytes);
  };
  try {
    for (const entry of withFolders(entries)) {
      put(header(entry));
      const size = sizeOf(entry);
      if ('content' in entry) put(Buffer.from(entry.content));
      if ('file' in entry) copyFile(entry.file, size, put);
      if (size % block !== 0) put(Buffer.alloc(block - (size % block)));
    }
    put(Buffer.alloc(2 * block));
  } finally {
    closeSync(fd);
  }
  return hash.digest('hex');
}

/** Sorted, each folder before what is in it. */
function withFolders(entries: readonly TarEntry[]): TarEntry[] {
  const all = new Map<string, TarEntry>();
  for (const entry of entries) {
    const parts = entry.path.split('/');
    for (let depth = 1; depth < parts.length; depth++) {
      const path = parts.slice(0, depth).join('/');
      if (!all.has(path)) all.set(path, { path, mode: 0o755, folder: true });
    }
    all.set(entry.path, entry);
  }
  return [...all.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

function sizeOf(entry: TarEntry): number {
  if ('content' in entry) return Buffer.byteLength(entry.content);
  return 'file' in entry ? statSync(entry.file).size : 0;
}

function copyFile(path: string, size: number, put: (bytes: Uint8Array) => void): void {
  const fd = openSync(path, 'r');
  try {
    const buffer = Buffer.allocUnsafe(chunkBytes);
    let left = size;
    while (left > 0) {
      const read = readSync(fd, buffer, 0, Math.min(chunkBytes, left), null);
      if (read === 0) throw new Error(`${path} became shorter while it was packed; build again`);
      put(buffer.subarray(0, read));
      left -= read;
    }
  } finally {
    closeSync(fd);
  }
}

function header(entry: TarEntry): Buffer {
  const bytes = Buffer.alloc(block);
  const [prefix, name] = splitPath('folder' in entry ? `${entry.path}/` : entry.path);
  const text = (value: string, offset: number) => void bytes.write(value, offset, 'utf8');
  const octal = (value: number, offset: number, width: number) =>
    text(`${value.toString(8).padStart(width - 1, '0')}\0`, offset);
  text(name, 0);
  octal('link' in entry ? 0o777 : entry.mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(sizeOf(entry), 124, 12);
  octal(0, 136, 12);
  text('        ', 148);
  text('link' in entry ? '2' : 'folder' in entry ? '5' : '0', 156);
  if ('link' in entry) text(entry.link, 157);
  text('ustar\0', 257);
  text('00', 263);
  text(prefix, 345);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  text(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return bytes;
}

// ustar holds 100 bytes of name and 155 of folder in front of it.
function splitPath(path: string): [string, string] {
  if (Buffer.byteLength(path) <= 100) return ['', path];
  for (let cut = path.indexOf('/'); cut !== -1; cut = path.indexOf('/', cut + 1)) {
    const [prefix, name] = [path.slice(0, cut), path.slice(cut + 1)];
    if (name !== '' && Buffer.byteLength(name) <= 100 && Buffer.byteLength(prefix) <= 155) {
      return [prefix, name];
    }
  }
  throw new Error(`${path} is too long for an archive member`);
}
