import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { identify } from '../process/identity.ts';
import { foundState, openState } from './state.ts';

let path: string;
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'felucca-state-'));
});
afterEach(() => rmSync(path, { recursive: true }));

test('a second checkout hears whose state it found, and how to have its own', () => {
  expect(openState(path).claim('/a')).toBeUndefined();
  openState(path).release();
  const before = openState(path).claim('/b');
  expect(before).toBe('/a');
  expect(foundState(path, before, '/b')).toMatch(/as the checkout \/a left it; NAME=<other> make up keeps/);
  expect(foundState(path, '/b', '/b')).toMatch(/as this checkout left it$/);
});

test('a stack that runs is refused with pid and checkout, and how to run another', () => {
  const state = openState(path);
  state.claim('/a');
  state.store('owner.json', JSON.stringify(identify(process.ppid)));
  expect(() => openState(path).claim('/b')).toThrow(
    new RegExp(`pid ${process.ppid}, checkout /a\\); "make down" stops it, and NAME=<other>`),
  );
});
