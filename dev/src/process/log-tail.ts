import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const tailBytes = 8192;

/** The last lines of a log, for an error message. Reads at most 8 KiB. */
export function logTail(path: string, lines = 12): string {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return '(no log yet)';
  }
  try {
    const size = fstatSync(fd).size;
    const length = Math.min(size, tailBytes);
    const buffer = Buffer.alloc(length);
    readSync(fd, buffer, 0, length, size - length);
    const tail = buffer.toString('utf8').trimEnd().split('\n').slice(-lines);
    return tail.map((line) => line.slice(0, 400)).join('\n') || '(empty)';
  } finally {
    closeSync(fd);
  }
}
