import { type Stack, type StackOptions, startStack } from '@felucca/dev/stack';
import { afterAll, beforeAll, describe } from 'vitest';
import { driftJourney } from './drift.ts';
import { failureJourney } from './failures.ts';
import { faultJourney } from './faults.ts';
import { idleJourney } from './idle.ts';
import { orderJourney } from './order.ts';
import { postgresJourney } from './postgres.ts';
import { refusalJourney } from './refusals.ts';

let running: Stack | undefined;
const stack = (): Stack => {
  if (!running) throw new Error('the stack did not start; see the error of beforeAll');
  return running;
};

beforeAll(async () => {
  running = await startStack({
    name: 'e2e',
    persistent: false,
    provider: (process.env['PROVIDER'] || 'auto') as NonNullable<StackOptions['provider']>,
    onProgress: (line) => process.stderr.write(`${line}\n`),
  });
  process.stderr.write(`journeys run on provider ${running.provider}\n`);
});
afterAll(async () => {
  await running?.stop();
});

describe('order', () => orderJourney(stack));
describe('idle', () => idleJourney(stack));
describe('drift', () => driftJourney(stack));
describe('failures', () => failureJourney(stack));
describe('refusals', () => refusalJourney(stack));
describe('postgres as a service', () => postgresJourney(stack));
describe('faults', () => faultJourney(stack));
