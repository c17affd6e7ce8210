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
    const wrong = { FELUCCA_API_URL: 'ftp://x', METRICS_PORT: '99999', FELUCCA_JOIN_TOKEN: 'nonsense' };
    expect(() => readConfig(wrong, 'h')).toThrow(
      /FELUCCA_API_URL[\s\S]*FELUCCA_JOIN_TOKEN[\s\S]*METRICS_PORT/,
    );
  });

  it('refuses two sources of the join token', () => {
    const token = `fj_${'0'.repeat(32)}_${'A'.repeat(43)}`;
    expect(() => readConfig({ FELUCCA_JOIN_TOKEN: token, FELUCCA_JOIN_TOKEN_FILE: '/x' }, 'h')).toThrow(
      /not both/,
    );
  });
});
