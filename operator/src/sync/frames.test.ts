import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameReader } from './frames.ts';

const line = (cursor: number): string =>
  `${JSON.stringify({ type: 'bookmark', cursor: String(cursor), digest: '0', count: cursor })}\n`;

describe('the frame reader', () => {
  it('finds every frame however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 10 }),
        fc.array(fc.integer({ min: 1, max: 40 })),
        (count, cuts) => {
          const bytes = Buffer.from(Array.from({ length: count }, (_, index) => `${line(index)}\n`).join(''));
          const reader = new FrameReader();
          const frames = [];
          let at = 0;
          for (const cut of [...cuts, bytes.length]) {
            frames.push(...reader.push(bytes.subarray(at, at + cut)));
            at += cut;
          }
          return (
            frames.length === count &&
            frames.every((frame, index) => 'count' in frame && frame.count === index)
          );
        },
      ),
    );
  });

  // Invariant L32.
  it('gives up on a frame without end', () => {
    const reader = new FrameReader(100);
    expect(() => [...reader.push(Buffer.alloc(101, 'x'))]).toThrow(/longer than 100 bytes/);
  });

  it('says what a frame breaks', () => {
    const reader = new FrameReader();
    expect(() => [...reader.push(Buffer.from('{"type":"bookmark","cursor":7}\n'))]).toThrow(/cursor/);
    expect(() => [...reader.push(Buffer.from('nonsense\n'))]).toThrow(/not JSON/);
  });
});
