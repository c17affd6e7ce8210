import { describe, expect, it } from 'vitest';
import { readConfig } from './config.ts';

const pod = { KUBERNETES_SERVICE_HOST: '10.0.0.1' };

describe('the configuration', () => {
  it('needs nothing in a pod: without an API the operator serves local objects', () => {
    const config = readConfig(pod, 'host-1');
    expect(config).toMatchObject({ podName: 'host-1', namespace: 'felucca-system', metricsPort: 8080 });
    expect(config.apiUrl).toBeUndefined();
  });

  it('takes an empty variable for an absent one, as charts render them', () => {
    expect(readConfig({ ...pod, FELUCCA_API_URL: '', FELUCCA_JOIN_TOKEN: '' }, 'h').apiUrl).toBeUndefined();
  });

  it('names every wrong variable at once', () => {
    const wrong = { FELUCCA_API_URL: 'ftp://x', METRICS_PORT: '99999', LOG_LEVEL: 'loud' };
    expect(() => readConfig(wrong, 'h')).toThrow(/FELUCCA_API_URL[\s\S]*METRICS_PORT[\s\S]*LOG_LEVEL/);
  });

  it('takes a join token as kubectl makes a Secret of a file, and starts with any: one that has joined needs none', () => {
    const token = `fj_${'0'.repeat(32)}_${'A'.repeat(43)}`;
    expect(readConfig({ ...pod, FELUCCA_JOIN_TOKEN: `${token}\n` }, 'h').joinToken).toBe(token);
    expect(readConfig({ ...pod, FELUCCA_JOIN_TOKEN: ' \n' }, 'h').joinToken).toBeUndefined();
    expect(readConfig({ ...pod, FELUCCA_JOIN_TOKEN: 'nonsense' }, 'h').joinToken).toBe('nonsense');
  });

  it('refuses two sources of the join token', () => {
    const token = `fj_${'0'.repeat(32)}_${'A'.repeat(43)}`;
    expect(() => readConfig({ FELUCCA_JOIN_TOKEN: token, FELUCCA_JOIN_TOKEN_FILE: '/x' }, 'h')).toThrow(
      /not both/,
    );
  });
});
