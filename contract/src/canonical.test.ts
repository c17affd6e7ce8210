import { expect, test } from 'vitest';
import { canonicalJson, copyOfJson, digestOf } from './canonical.ts';

test('the same value gives the same text, however its keys are ordered', () => {
  const text = '{"a":[1,null,"é\\n"],"b":{"1":true,"10":0.1,"2":{}},"ä":""}';
  const value = { ä: '', b: { 10: 0.1, 2: {}, 1: true }, a: [1, null, 'é\n'] };
  expect(canonicalJson(value)).toBe(text);
  expect(canonicalJson(JSON.parse(text))).toBe(text);
  expect(digestOf(value)).toBe(digestOf(JSON.parse(text)));
});

test('what JSON does not have is left out of an object, and null in a list', () => {
  expect(canonicalJson({ a: undefined, b: [undefined] })).toBe('{"b":[null]}');
  expect(canonicalJson(undefined)).toBe('null');
});

test('nesting has a bound', () => {
  let value: unknown = 1;
  for (let depth = 0; depth < 65; depth += 1) value = [value];
  expect(() => canonicalJson(value)).toThrow('deeper than 64');
});

test('a copy shares nothing, and a key is only a key', () => {
  const value = JSON.parse('{"a":[{"b":1}],"__proto__":{"c":null}}');
  const copy = copyOfJson(value);
  expect(JSON.stringify(copy)).toBe(JSON.stringify(value));
  copy.a[0].b = 2;
  expect(value.a[0].b).toBe(1);
  expect(copy.c).toBeUndefined();
});
