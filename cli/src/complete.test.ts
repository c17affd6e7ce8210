import { expect, test } from 'vitest';
import { complete } from './complete.ts';
import { defineProgram } from './program.ts';

const program = defineProgram('felucca', () => async () => {});
const asked: object[] = [];
const completed = (line: string) =>
  complete(program, line.split(' '), async (flags) => {
    asked.push(flags);
    return ['db', 'web'];
  });

test.each([
  ['w', ['why']],
  ['re', ['reconcile', 'report', 'resume']],
  ['-n tenant-acme wh', ['why']],
  ['why ', ['db', 'web']],
  ['why d', ['db']],
  ['why db ', []],
  ['tree w', ['web']],
  ['status ', []],
  ['why -n ', []],
  ['events --t', ['--types']],
  ['why --cont', ['--context']],
])('after "%s" may come %j', async (line, words) => {
  expect(await completed(line)).toEqual(words);
});

test('names are looked for where the flags say', async () => {
  await completed('why --context prod -n tenant-acme d');
  expect(asked.at(-1)).toEqual({ context: 'prod', namespace: 'tenant-acme' });
});
