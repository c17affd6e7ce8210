import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FairLine } from './fair-line.ts';

const flowOf = (key: string): string => key.split('/')[0] ?? '';

function drain(line: FairLine): string[] {
  const keys: string[] = [];
  for (let next = line.peek(); next; next = line.peek()) {
    keys.push(next.key);
    line.take();
  }
  return keys;
}

test('a key that left makes its flow leave the turns', () => {
  const line = new FairLine(flowOf);
  line.add('a/1', 5);
  line.add('b/1', 6);
  line.remove('a/1');
  line.remove('a/1');
  expect(line.size).toBe(1);
  expect(line.peek()).toEqual({ key: 'b/1', sinceMs: 6 });
  expect(line.since('a/1')).toBeUndefined();
});

test('whatever was added and not removed comes out once, each flow in its order, and no flow waits two turns', () => {
  const keys = fc.uniqueArray(fc.tuple(fc.integer({ min: 0, max: 5 }), fc.nat(50)), {
    selector: ([flow, n]) => `${flow}/${n}`,
  });
  fc.assert(
    fc.property(keys, (pairs) => {
      const line = new FairLine(flowOf);
      const added = pairs.map(([flow, n]) => `${flow}/${n}`);
      for (const [at, key] of added.entries()) line.add(key, at);
      expect(line.size).toBe(added.length);
      const taken = drain(line);
      expect([...taken].sort()).toEqual([...added].sort());
      expect(line.size).toBe(0);
      for (const flow of new Set(added.map(flowOf))) {
        const ofFlow = (list: string[]) => list.filter((key) => flowOf(key) === flow);
        expect(ofFlow(taken)).toEqual(ofFlow(added));
        const turns = taken.flatMap((key, at) => (flowOf(key) === flow ? [at] : []));
        const flows = new Set(added.map(flowOf)).size;
        for (const [index, at] of turns.entries())
          expect(at - (turns[index - 1] ?? -1)).toBeLessThanOrEqual(flows);
      }
    }),
  );
});
