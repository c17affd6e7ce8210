import { describe, expect, test } from 'vitest';
import { blueprintFixture } from './blueprint-fixture.ts';
import { applyDefaults, checkImmutable, checkParameters } from './parameters.ts';
import { patternProblem } from './pattern.ts';

const spec = blueprintFixture();

describe('parameters', () => {
  test('get their defaults, and the input stays as it was', () => {
    const sent = { message: 'x' };
    expect(applyDefaults(spec, sent)).toEqual({
      message: 'x',
      replicas: 1,
      ratio: 1,
      storageGi: 1,
      settings: {},
    });
    expect(sent).toEqual({ message: 'x' });
  });

  test.each([
    ['a missing required one', {}, '/message', /required/],
    ['a wrong type', { message: 1 }, '/message', /type "string", got 1/],
    ['a fraction for an integer', { message: 'x', replicas: 1.5 }, '/replicas', /integer/],
    ['an integer that JSON cannot carry', { message: 'x', replicas: 2 ** 60 }, '/replicas', /integer/],
    ['a value out of range', { message: 'x', replicas: 10 }, '/replicas', /at most 9/],
    ['an unknown one', { message: 'x', size: 1 }, '/size', /"message", "replicas"/],
    ['a too long text', { message: 'x'.repeat(65) }, '/message', /at most 64/],
    ['a character that no process can be given', { message: 'a\0b' }, '/message', /U\+0000/],
    ['half of a character', { message: 'a\ud800' }, '/message', /surrogate/],
    ['a wrong value in a map', { message: 'x', settings: { 'a/b': 1 } }, '/settings/a~1b', /string/],
    ['a list', [], '', /object/],
    ['a prototype', JSON.parse('{"message":"x","__proto__":{}}'), '/__proto__', /not a parameter/],
  ])('are refused for %s', (_, parameters, path, message) => {
    expect(checkParameters(spec, parameters)).toContainEqual({
      path,
      message: expect.stringMatching(message) as string,
      remedy: expect.stringMatching(/./) as string,
    });
  });

  test('that are secret are never repeated in a message', () => {
    expect(JSON.stringify(checkParameters(spec, { message: 'x', password: 4711 }))).not.toContain('4711');
  });

  test('marked immutable may not change, and a default counts as the value', () => {
    expect(checkImmutable(spec, { message: 'x' }, { message: 'y', storageGi: 1 })).toEqual([]);
    expect(checkImmutable(spec, { message: 'x' }, { message: 'x', storageGi: 2 })).toMatchObject([
      { path: '/storageGi' },
    ]);
  });
});

test.each([
  ['^[a-z0-9]([-a-z0-9]*[a-z0-9])?$', true],
  ['^(?:16|17|18)$', true],
  ['^\\d+(MB|GB)$', true],
  ['(a|a)*', true],
  ['(((a{9}){9}){9}){9}', false],
  ['(.{900}){1}(.{900}){1}(.{900}){1}(.{900}){1}(.{900}){1}(.{900}){1}', false],
  ['(a)\\1', false],
  ['(?=a)', false],
  ['a*b*c*d*', true],
  ['[', false],
])('pattern %s is let in: %s', (pattern, expected) => {
  expect(patternProblem(pattern) === undefined).toBe(expected);
});

// Each took seconds to minutes on a backtracking engine.
test.each(['^(?:a?a?){16}!$', '^(a?){24}!$', '^(a+)+!$', '^(?:[a-z]{0,250}){3}!$'])(
  'pattern %s lets nobody wait',
  (pattern) => {
    const spec = {
      parameters: { type: 'object', properties: { x: { type: 'string', maxLength: 256, pattern } } },
    };
    expect(checkParameters(spec, { x: 'a'.repeat(255) })).toMatchObject([{ path: '/x' }]);
  },
);
