import type { ConditionInput } from '@felucca/contract';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ConnectionStatus } from './connection-status.ts';

const broken = { why: 'broken', message: 'the connection ended' };
const refused = { why: 'refused', message: 'the control plane answers 403' };

describe('the status of the connection', () => {
  let said: ConditionInput[];
  let connection: ConnectionStatus;
  const last = () => said.at(-1);
  beforeEach(() => {
    vi.useFakeTimers();
    said = [];
    connection = new ConnectionStatus('https://felucca.test', (condition) => said.push(condition));
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('does not speak of a connection that comes back at once', () => {
    connection.lost(broken, false);
    vi.advanceTimersByTime(4_000);
    connection.connected();
    vi.advanceTimersByTime(60_000);
    expect(said.map(({ status }) => status)).toEqual(['True']);
  });

  it('says that it has not been connected yet, when that takes long', () => {
    connection.lost({ why: 'starting', message: 'the feed has not been connected yet' }, false);
    vi.advanceTimersByTime(5_000);
    expect(last()).toMatchObject({
      status: 'False',
      reason: 'Disconnected',
      message: expect.stringMatching(/not been connected yet/),
    });
    connection.connected();
    expect(last()).toMatchObject({ status: 'True' });
  });

  it('says the newest reason, five seconds after the first', () => {
    connection.lost(broken, false);
    vi.advanceTimersByTime(4_000);
    connection.lost(refused, false);
    vi.advanceTimersByTime(1_000);
    expect(last()).toMatchObject({
      status: 'False',
      message: expect.stringMatching(/403; .* keeps trying https:\/\/felucca\.test$/),
    });
    connection.lost(broken, false);
    expect(last()?.message).toContain('the connection ended');
  });

  it.each([
    ['is not taken', 'http_401', false],
    ['is revoked while it is connected', 'revoked', true],
  ])('says at once that its key %s', (_, why, halted) => {
    connection.lost({ why, message: 'create a join token' }, halted);
    expect(last()?.reason).toBe('CredentialRefused');
  });

  it('says at once that another operator took over', () => {
    connection.lost(broken, false);
    connection.lost({ why: 'superseded', message: 'another operator has this data plane' }, true);
    expect(last()?.reason).toBe('Superseded');
    vi.advanceTimersByTime(60_000);
    expect(said).toHaveLength(1);
  });
});
