import { type Frame, frameSchema } from '@felucca/contract';

/** One frame is one line; a server that sends a longer one is broken or hostile. */
export const MAX_FRAME_BYTES = 8 * 1024 * 1024;

export class FrameError extends Error {
  override name = 'FrameError';
}

/** Splits a byte stream into lines and lines into checked frames. Empty lines are keep-alives. */
export class FrameReader {
  private parts: Buffer[] = [];
  private size = 0;
  private readonly maxBytes: number;

  constructor(maxBytes = MAX_FRAME_BYTES) {
    this.maxBytes = maxBytes;
  }

  /** @throws FrameError on an oversized, unparsable or unknown frame. */
  *push(chunk: Buffer): Generator<Frame> {
    let start = 0;
    for (let end = chunk.indexOf(10, start); end !== -1; end = chunk.indexOf(10, start)) {
      this.keep(chunk.subarray(start, end));
      const line = this.takeLine();
      start = end + 1;
      if (line !== '') yield parseFrame(line);
    }
    this.keep(chunk.subarray(start));
  }

  private keep(part: Buffer): void {
    if (part.length === 0) return;
    this.size += part.length;
    if (this.size > this.maxBytes)
      throw new FrameError(`a frame is longer than ${this.maxBytes} bytes; the connection is given up`);
    this.parts.push(part);
  }

  private takeLine(): string {
    const line = this.parts.length === 1 ? this.parts[0]! : Buffer.concat(this.parts, this.size);
    this.parts = [];
    this.size = 0;
    return line.toString('utf8').trim();
  }
}

export function parseFrame(line: string): Frame {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new FrameError(`a frame is not JSON: ${(error as Error).message}`);
  }
  const parsed = frameSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new FrameError(`a frame breaks the protocol at ${issue?.path.join('.') ?? ''}: ${issue?.message}`);
}
