import { redactText } from './redact.ts';

export const MAX_FILE_BYTES = 1 << 20;
export const MAX_BYTES = 20 << 20;

/** What goes into a ticket: files by path, and what is not among them. */
export class Bundle {
  readonly files = new Map<string, string>();
  readonly leftOut: string[] = [];
  #bytes = 0;

  /** The end of a long text stays: there is the newest. */
  add(path: string, text: string): void {
    const clean = redactText(text);
    const bytes = Buffer.byteLength(clean);
    const kept = bytes > MAX_FILE_BYTES ? Buffer.from(clean).subarray(-MAX_FILE_BYTES).toString() : clean;
    if (kept !== clean) this.leftOut.push(`${path}: its first ${bytes - MAX_FILE_BYTES} bytes`);
    if (this.#bytes + Math.min(bytes, MAX_FILE_BYTES) > MAX_BYTES) {
      this.leftOut.push(`${path}: the report would be larger than ${MAX_BYTES >> 20} MiB`);
      return;
    }
    this.#bytes += Math.min(bytes, MAX_FILE_BYTES);
    this.files.set(path, kept);
  }
}
