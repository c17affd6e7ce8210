import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { copyFile, mkdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { type BinaryName, type ReleaseSource, releaseOf } from './versions.ts';

const run = promisify(execFile);
const answerTimeoutMs = 5_000;
const downloadTimeoutMs = 600_000;
const checksumLimitBytes = 1_000_000;

/** Hosts that did not answer in this run: asking once is enough, a firewall does not change its mind. */
const unreachable = new Set<string>();

/**
 * Downloads the official release of a program to `target` and verifies the published SHA-256.
 * Returns why not, if it could not; a wrong checksum throws, since that is no reason to carry on.
 */
export async function downloadRelease(
  name: BinaryName,
  target: string,
  onProgress: (line: string) => void,
  get: typeof fetch = fetch,
): Promise<string | undefined> {
  const source = releaseOf(name);
  const url = fill(source.url, name, source);
  const checksums = await fetchChecksums(fill(source.checksumUrl, name, source), get);
  if (!checksums.ok) return checksums.why;
  const expected = checksumFor(basename(new URL(url).pathname), checksums.text);
  if (expected === undefined) return `no checksum is published for ${url}`;
  const work = `${target}.download`;
  await mkdir(work, { recursive: true });
  try {
    onProgress(`downloading ${url}`);
    const file = join(work, basename(url));
    const response = await get(url, { signal: AbortSignal.timeout(downloadTimeoutMs) });
    if (!response.ok || response.body === null) return `${url} answered ${response.status}`;
    const hash = createHash('sha256');
    await pipeline(
      Readable.fromWeb(response.body),
      async function* (chunks: AsyncIterable<Uint8Array>) {
        for await (const chunk of chunks) {
          hash.update(chunk);
          yield chunk;
        }
      },
      createWriteStream(file),
    );
    const actual = hash.digest('hex');
    if (actual !== expected) {
      throw new ChecksumMismatch(`${url} has SHA-256 ${actual}, but ${expected} is published; not using it`);
    }
    await mkdir(dirname(target), { recursive: true });
    await copyFile(
      source.member === undefined ? file : await extract(file, work, fill(source.member, name, source)),
      target,
    );
    return undefined;
  } catch (error) {
    if (error instanceof ChecksumMismatch) throw error;
    return `${url}: ${messageOf(error)}`;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

class ChecksumMismatch extends Error {}

type Fetched = { ok: true; text: string } | { ok: false; why: string };

async function fetchChecksums(url: string, get: typeof fetch): Promise<Fetched> {
  const host = new URL(url).host;
  if (unreachable.has(host)) return { ok: false, why: `${host} is not reachable from here` };
  try {
    const response = await get(url, { signal: AbortSignal.timeout(answerTimeoutMs) });
    if (!response.ok) return { ok: false, why: `${url} answered ${response.status}` };
    const text = await response.text();
    if (text.length > checksumLimitBytes) return { ok: false, why: `${url} is no checksum file` };
    return { ok: true, text };
  } catch (error) {
    unreachable.add(host);
    return { ok: false, why: `${host} is not reachable from here (${messageOf(error)})` };
  }
}

/** Reads a bare sum, or finds the file's line in the format of sha256sum. */
export function checksumFor(file: string, text: string): string | undefined {
  const lines = text.trim().split('\n');
  const bare = /^([0-9a-f]{64})$/i.exec(lines[0]?.trim() ?? '');
  if (lines.length === 1 && bare !== null) return bare[1]?.toLowerCase();
  for (const line of lines) {
    const match = /^([0-9a-f]{64})\s+\*?(?:.*\/)?(\S+)$/i.exec(line.trim());
    if (match?.[2] === file) return match[1]?.toLowerCase();
  }
  return undefined;
}

/** Fills a template of the version table for this machine. */
export function fill(template: string, name: BinaryName, source: ReleaseSource): string {
  const arch = process.arch === 'x64' ? 'amd64' : process.arch;
  const words: Record<string, string> = {
    version: source.version,
    binary: name,
    os: source.systems?.[process.platform] ?? process.platform,
    arch: source.architectures?.[arch] ?? arch,
  };
  return template.replaceAll(/\{(\w+)\}/g, (whole, word: string) => words[word] ?? whole);
}

async function extract(archive: string, work: string, member: string): Promise<string> {
  await run('tar', ['-xf', archive, '-C', work, member], { timeout: 120_000 });
  return join(work, member);
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message || error.cause.name : error.message;
}
